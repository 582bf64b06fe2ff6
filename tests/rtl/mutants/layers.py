"""Faults of layers, thresholds, sums and argmax around the kernels."""

from __future__ import annotations

from .mutant import Mutant

MUTANTS = (
    Mutant("tie_of_unsigned", "threshold", "staircase", "wide >= levels[", "wide > levels["),
    Mutant(
        "tie_of_signed",
        "threshold",
        "staircase",
        "$signed(wide) >= $signed",
        "$signed(wide) > $signed",
    ),
    Mutant(
        "direction_ignored",
        "threshold",
        "staircase",
        "is_reached[j] == is_rising[DIRECTIONS > 1 ? j : 0]",
        "is_reached[j]",
    ),
    Mutant("direction_of_the_first_step", "threshold", "staircase", "DIRECTIONS > 1 ? j : 0", "0"),
    Mutant(
        "directions_of_the_first_lane",
        "threshold",
        "neuron_end",
        "LEVELS_W+p*DIRECTIONS+:DIRECTIONS",
        "LEVELS_W+p+:DIRECTIONS",
    ),
    Mutant(
        "level_read_late",
        "threshold",
        "threshold",
        ".step(fire)",
        ".step(valid_1)",
    ),
    Mutant(
        "sign_of_the_sum_ignored",
        "matvec",
        "matvec",
        "if (SUM_SIGNED != 0) begin",
        "if (SUM_SIGNED == 2) begin",
    ),
    Mutant(
        "ready_stuck",
        "matvec",
        "matvec",
        "assign s_axis_tready = !is_last || has_place;",
        "assign s_axis_tready = 1'b1;",
    ),
    Mutant("accumulator_not_cleared", "matvec", "matvec", "if (rst || ends_sum)", "if (rst)"),
    Mutant("accumulator_not_reset", "matvec", "matvec", "if (rst || ends_sum)", "if (ends_sum)"),
    Mutant("one_left_out", "matvec", "matvec", ".carry(plus[p])", ".carry(1'b0)"),
    Mutant(
        "levels_of_the_next_fold",
        "matvec",
        "matvec",
        "levels (.clk, .x(at_2)",
        "levels (.clk, .x(at_1)",
    ),
    Mutant(
        "words_of_the_other_fold", "matvec", "matvec", "word = {fold, sf};", "word = {sf, fold};"
    ),
    Mutant(
        "word_not_counted",
        "matvec",
        "matvec",
        "word <= word + 1'b1;",
        "word <= word;",
    ),
    Mutant(
        "tie_takes_the_last_beat",
        "argmax",
        "argmax",
        "value_2 > best_value",
        "value_2 >= best_value",
    ),
    Mutant(
        "tie_takes_the_last_lane",
        "argmax",
        "argmax",
        "^ FLIP) > lane_value",
        "^ FLIP) >= lane_value",
    ),
    Mutant("sign_ignored", "argmax", "argmax", "X_SIGNED != 0 ?", "X_SIGNED != 0 && X_BITS == 0 ?"),
    Mutant(
        "best_kept_between_vectors", "argmax", "argmax", "if (first_2 || value_2", "if (value_2"
    ),
    Mutant(
        "word_of_the_wrong_tap",
        "depthwise",
        "depthwise",
        "WORD_W'({tap, fold})",
        "WORD_W'({fold, tap})",
    ),
    Mutant(
        "accumulator_of_the_wrong_fold",
        "depthwise",
        "depthwise",
        "assign kept = accumulators[sum_fold];",
        "assign kept = accumulators[level_fold];",
    ),
    Mutant("accumulator_not_cleared", "depthwise", "depthwise", "first[SUM_AT] ?", "1'b0 ?"),
    Mutant(
        "ready_stuck",
        "depthwise",
        "depthwise",
        "assign s_axis_tready = !is_last || has_place;",
        "assign s_axis_tready = 1'b1;",
    ),
    Mutant(
        "levels_of_the_next_fold",
        "depthwise",
        "depthwise",
        ".at(level_fold)",
        ".at(sum_fold)",
    ),
    Mutant(
        "yields_every_tap", "depthwise", "depthwise", "is_product && last[SUM_AT]", "is_product"
    ),
    Mutant(
        "fold_a_cycle_early",
        "depthwise",
        "delay",
        "line[(CYCLES-1)*WIDTH+:WIDTH]",
        "line[(CYCLES-1)*WIDTH/2+:WIDTH]",
    ),
    Mutant(
        "border_of_the_row_before",
        "matvec",
        "border",
        "row    <= rows[oy];",
        "row    <= rows[oy == '0 ? oy : oy - 1'b1];",
    ),
    Mutant(
        "border_of_the_next_column",
        "matvec",
        "border",
        "column <= columns[ox];",
        "column <= columns[is_last_column ? ox : ox + 1'b1];",
    ),
    Mutant(
        "added_before_all_are_there",
        "add",
        "add",
        "assign s_axis_tready[0] = (&is_there) && has_place;",
        "assign s_axis_tready[0] = is_there[1] && has_place;",
    ),
    Mutant("ready_stuck", "add", "add", "(&is_there) && has_place;", "(&is_there);"),
    Mutant("added_for_subtracted", "add", "add", "sum - (terms[i] << k)", "sum + (terms[i] << k)"),
    Mutant("bipolar_as_bits", "add", "add", "{!lane[0], 1'b1}", "{1'b0, lane[0]}"),
    Mutant("sign_lost", "add", "add", "SUM_BITS'($signed(lane));", "SUM_BITS'(lane);"),
    Mutant("clamped_early", "add", "add", "is_greater(sum, SUM_BITS'(HIGH))", "sum[0]"),
    Mutant(
        "sign_of_bounds_ignored", "add", "add", "SUM_BITS'(SUM_SIGNED != 0) <<", "SUM_BITS'(0) <<"
    ),
    Mutant("clamped_to_the_wrong_end", "add", "add", "? OUT_BITS'(LOW)", "? OUT_BITS'(HIGH)"),
    Mutant(
        "levels_of_the_first_group",
        "matvec",
        "matvec",
        "at_1 <= AT_W'(fold);",
        "at_1 <= AT_W'(nf);",
    ),
    Mutant(
        "fold_of_all_not_wrapped",
        "matvec",
        "matvec",
        "counter #(.MODULUS(FOLDS)) folds (",
        "counter #(.MODULUS(1 << FOLD_W)) folds (",
    ),
    Mutant(
        "channel_of_another_neuron",
        "depthwise",
        "depthwise",
        "weights_2[p*MULTIPLIER*W_BITS+:",
        "weights_2[p*W_BITS+:",
    ),
    Mutant(
        "plus_of_the_first_neuron", "depthwise", "depthwise", ".carry(plus[m])", ".carry(plus[0])"
    ),
    Mutant(
        "ready_while_two_vectors_are_held",
        "matvec",
        "replay",
        "assign s_axis_tready = places != '0;",
        "assign s_axis_tready = 1'b1;",
    ),
    Mutant("read_before_it_came", "matvec", "replay", "!is_first_turn || ahead != '0", "1'b1"),
    Mutant("waits_in_every_turn", "matvec", "replay", "!is_first_turn || ahead", "ahead"),
    Mutant("half_not_changed", "matvec", "replay", "read_half ^ frees", "read_half"),
    Mutant(
        "freed_after_each_turn",
        "matvec",
        "matvec",
        "is_last && is_last_of_group),\n      .can",
        "is_last),\n      .can",
    ),
    Mutant(
        "reset_dropped",
        "matvec",
        "counter",
        "if (rst || (step && is_last && !IS_POWER))",
        "if (step && is_last && !IS_POWER)",
    ),
    Mutant(
        "ends_a_turn_late",
        "matvec",
        "counter",
        "LAST     = BITS'(MODULUS - 1)",
        "LAST = BITS'(MODULUS - 1) ^ 1",
    ),
    Mutant(
        "carry_of_the_counter_lost",
        "matvec",
        "counter",
        "&(value | ('1 << i))",
        "&(value | ('1 << (i + 1)))",
    ),
    Mutant("slice_of_the_low_bits", "matvec", "rom", '8\'("0" + s % 10)}', '8\'("0")}'),
)
