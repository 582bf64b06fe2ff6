"""The conformance suite catches a fault in every module: each one is broken on purpose."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from popshift.flows.conformance import bench, check, random_bench
from popshift.hw.emit import RTL_FOLDER

from .directed import directed


@dataclass(frozen=True)
class Mutant:
    """A fault: ``before`` becomes ``after`` in ``module``, seen by stages of ``kind``."""

    fault: str
    kind: str
    module: str
    before: str
    after: str


MUTANTS = [
    Mutant(
        "reset_dropped",
        "threshold",
        "credit_buffer",
        "if (rst) places <= COUNT_W'(CAPACITY);\n      else if",
        "if",
    ),
    Mutant(
        "ready_stuck",
        "threshold",
        "credit_buffer",
        "assign has_place = places != '0;",
        "assign has_place = 1'b1;",
    ),
    Mutant(
        "ready_stuck_when_full",
        "width",
        "credit_buffer",
        "assign has_place = gen_memory.waiting != COUNT_W'(CAPACITY);",
        "assign has_place = 1'b1;",
    ),
    Mutant(
        "ready_stuck_when_one_waits",
        "width",
        "credit_buffer",
        "assign has_place = !m_axis_tvalid;",
        "assign has_place = 1'b1;",
    ),
    Mutant(
        "push_lost_when_popped",
        "threshold",
        "credit_buffer",
        "if (push != pop) waiting",
        "if (push || pop) waiting",
    ),
    Mutant("pointer_lacks_a_carry", "fifo", "credit_buffer", "('1 << i)", "('1 << (i + 1))"),
    Mutant(
        "capacity_off_by_one",
        "threshold",
        "credit_buffer",
        "if (rst) places <= COUNT_W'(CAPACITY);",
        "if (rst) places <= COUNT_W'(CAPACITY - 1);",
    ),
    Mutant(
        "data_not_held_under_stall",
        "width",
        "credit_buffer",
        "if (push) m_axis_tdata <= push_data;",
        "m_axis_tdata <= push_data;",
    ),
    Mutant(
        "valid_dropped_under_stall",
        "width",
        "credit_buffer",
        "else if (pop) m_axis_tvalid <= 1'b0;",
        "else m_axis_tvalid <= 1'b0;",
    ),
    Mutant(
        "valid_kept_after_transfer",
        "width",
        "credit_buffer",
        "else if (pop) m_axis_tvalid <= 1'b0;",
        "",
    ),
    Mutant(
        "pointer_wraps_early",
        "fifo",
        "credit_buffer",
        "LAST = POINTER_W'(CAPACITY - 1)",
        "LAST = POINTER_W'(CAPACITY - 2)",
    ),
    Mutant(
        "accepts_without_valid",
        "fifo",
        "fifo",
        "assign fire = s_axis_tvalid && s_axis_tready;",
        "assign fire = s_axis_tready;",
    ),
    Mutant("parts_reversed", "width", "width_up", "{s_axis_tdata, parts}", "{parts, s_axis_tdata}"),
    Mutant(
        "ready_stuck",
        "width",
        "width_up",
        "assign s_axis_tready = !is_last || has_place;",
        "assign s_axis_tready = 1'b1;",
    ),
    Mutant(
        "ready_in_every_part",
        "width",
        "width_down",
        "assign s_axis_tready = is_first && has_place;",
        "assign s_axis_tready = has_place;",
    ),
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
    Mutant("accumulator_not_cleared", "matvec", "matvec", "if (rst || ends_sum)", "if (rst)"),
    Mutant("accumulator_not_reset", "matvec", "matvec", "if (rst || ends_sum)", "if (ends_sum)"),
    Mutant("one_left_out", "matvec", "matvec", ".carry(plus[p])", ".carry(1'b0)"),
    Mutant(
        "reset_dropped",
        "matvec",
        "counter",
        "if (rst || (step && is_last && !IS_POWER))",
        "if (step && is_last && !IS_POWER)",
    ),
    Mutant(
        "levels_of_the_next_fold",
        "matvec",
        "matvec",
        "levels (.clk, .x(at_2)",
        "levels (.clk, .x(at_1)",
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
    Mutant(
        "carries_lost",
        "matvec",
        "compressor",
        "next = {carries, twos};",
        "next = {carries & '0, twos};",
    ),
    Mutant("low_bits_early", "matvec", "compressor", "$countones(CUTS)", "$countones(CUTS / 4)"),
    Mutant("bits_lost", "matvec", "column", "rest = {sums, a[N-1:3*ADDERS]}", "rest = REST'(sums)"),
    Mutant("xor_for_xnor", "matvec", "dot_xnor", "assign lanes = ~x;", "assign lanes = x;"),
    Mutant("three_without_carry", "matvec", "dot_xnor", "(first_second | first_third)", "'0"),
    Mutant(
        "nine_of_other_threes", "matvec", "dot_xnor", "(carry_b & carry_c)", "(carry_b & ~carry_c)"
    ),
    Mutant("third_three_for_second", "matvec", "dot_xnor", "after_b <= b;", "after_b <= c;"),
    Mutant(
        "subtraction_without_one",
        "matvec",
        "dot_signed",
        ".ones(is_negative)",
        ".ones(is_negative & {TERMS{is_negative[0]}})",
    ),
    Mutant(
        "pair_subtracted_for_added",
        "matvec",
        "dot_signed",
        "w[AT] == w[AT+1] ? sum",
        "w[AT] != w[AT+1] ? sum",
    ),
    Mutant(
        "ones_of_half_the_tree_lost",
        "matvec",
        "adder_tree",
        ".ones(ones[TERMS-1:LOW])",
        ".ones(HIGH'(0))",
    ),
    Mutant("carry_not_added", "matvec", "carried_sum", "{b, carry}", "{b, 1'b0}"),
    Mutant(
        "words_of_the_other_fold", "matvec", "matvec", "word = {fold, sf};", "word = {sf, fold};"
    ),
    Mutant("word_not_counted", "matvec", "matvec", "word <= word + 1'b1;", "word <= word;"),
    Mutant(
        "zero_weight_used",
        "matvec",
        "dot_signed",
        "w[AT] ? sum : '0;",
        "sum;",
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
        "word_read_before_it_came",
        "window",
        "line_buffer",
        "ahead <= AHEAD_BITS'(-START - 1);",
        "ahead <= AHEAD_BITS'(-START);",
    ),
    Mutant(
        "room_off_by_one",
        "window",
        "line_buffer",
        "held  <= HELD_BITS'(-DEPTH);",
        "held  <= HELD_BITS'(1 - DEPTH);",
    ),
    Mutant(
        "dropped_too_early",
        "window",
        "line_buffer",
        "int'(ox) >= PADDED_X;",
        "int'(ox) + 1 >= PADDED_X;",
    ),
    Mutant(
        "rows_in_the_padding_not_dropped",
        "window",
        "line_buffer",
        "drop = HELD_BITS'(-DROP_FIRST);",
        "drop = '0;",
    ),
    Mutant(
        "padding_read",
        "window",
        "line_buffer",
        "ix >= IX_W'(WIDTH) ||",
        "ix > IX_W'(WIDTH) ||",
    ),
    Mutant(
        "begun_without_a_word",
        "window",
        "line_buffer",
        "is_start ? $signed",
        "1'b0 ? $signed",
    ),
    Mutant(
        "address_not_wrapped",
        "window",
        "line_buffer",
        "near[AT_W] ? far : near[AT_W-1:0]",
        "far",
    ),
    Mutant(
        "reset_dropped",
        "window",
        "line_buffer",
        "if (rst) begin\n        write_at <= '0;\n        read_at  <= AT_W'(-START);",
        "if (1'b0) begin\n        write_at <= '0;\n        read_at  <= AT_W'(-START);",
    ),
    Mutant(
        "written_word_lost",
        "window",
        "ram",
        "    logic [WIDTH-1:0] memory[DEPTH];\n    always_ff @(posedge clk) begin\n"
        "      if (write_enable) memory[write_at] <= write_data;\n"
        "      if (read_enable) read_data <= memory[read_at];\n"
        "    end\n  end\n",
        "    logic [WIDTH-1:0] memory[DEPTH];\n    always_ff @(posedge clk) begin\n"
        "      if (write_enable && write_at != '0) memory[write_at] <= write_data;\n"
        "      if (read_enable) read_data <= memory[read_at];\n"
        "    end\n  end\n",
    ),
    Mutant(
        "padding_of_the_wrong_beat",
        "window",
        "line_buffer",
        "data_is_padding <= is_padding_1;",
        "data_is_padding <= is_padding;",
    ),
    Mutant(
        "padding_ignored",
        "window",
        "window",
        "data_is_padding ? {SIMD{X_BITS'(PAD)}} : data",
        "data_is_padding && PAD == 0 ? '0 : data",
    ),
    Mutant(
        "sign_ignored", "pool", "pool", "X_SIGNED != 0 ? X_BITS'(1)", "X_BITS == 0 ? X_BITS'(1)"
    ),
    Mutant("least_for_greatest", "pool", "pool", "rest > element ?", "rest < element ?"),
    Mutant(
        "padding_wins",
        "pool",
        "pool",
        "is_padding ? '0 : lane ^ FLIP",
        "is_padding ? '1 : lane ^ FLIP",
    ),
    Mutant("padding_counted", "pool", "pool", "(is_padding ? '0 : term)", "term"),
    Mutant("sum_kept_between_windows", "pool", "pool", "(is_first ? '0 : earlier)", "earlier"),
    Mutant("bipolar_as_bits", "pool", "pool", "OUT_BITS'(1) : '1;", "OUT_BITS'(1) : '0;"),
    Mutant(
        "yields_without_place",
        "pool",
        "pool",
        "assign fire = can_fire && (!yields || has_place);",
        "assign fire = can_fire;",
    ),
    Mutant("tail_counted", "pool", "pool", "fire && is_inside});", "fire});"),
    Mutant(
        "last_row_of_the_image_missed",
        "pool",
        "pool_position",
        "int'(ky) == KERNEL_Y - 1 || is_end_y",
        "int'(ky) == KERNEL_Y - 1",
    ),
    Mutant(
        "padding_of_the_second_row",
        "pool",
        "pool_position",
        "kx <= is_end_x ? KX_W'(PAD_LEFT) :",
        "kx <= is_end_x ? '0 :",
    ),
    Mutant(
        "fold_not_rewound",
        "pool",
        "pool_position",
        "word - WORD_W'(FOLDS - 1)",
        "word",
    ),
    Mutant("partial_read_late", "pool", "pool", ".read_at(early_word)", ".read_at(word)"),
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
    Mutant("read_without_place", "fifo", "fifo", "waiting != '0 && has_place", "waiting != '0"),
    Mutant("place_not_given_back", "fifo", "fifo", "if (fire != pop) places", "if (fire) places"),
    Mutant(
        "read_before_it_came",
        "fifo",
        "fifo",
        "assign read          = waiting != '0",
        "assign read = (waiting != '0 || fire)",
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
        "column <= columns[ends_row ? ox : ox + 1'b1];",
    ),
    Mutant("places_exchanged", "fork", "eager_fork", "place_1 : place_0;", "place_0 : place_1;"),
    Mutant(
        "written_before_all_have_read",
        "fork",
        "eager_fork",
        "assign s_axis_tready = (write_at ? unread_1 : unread_0) == '0;",
        "assign s_axis_tready = !(write_at ? unread_1[0] : unread_0[0]);",
    ),
    Mutant(
        "lazy",
        "fork",
        "eager_fork",
        "&& m_axis_tready[i];",
        "&& (&m_axis_tready);",
    ),
    Mutant(
        "reset_dropped",
        "fork",
        "eager_fork",
        "if (rst) write_at <= 1'b0;\n    else if",
        "if",
    ),
    Mutant(
        "members_of_the_next_beat",
        "split",
        "split",
        "int'(beat)*OUTPUTS",
        "((int'(beat) + 1) % BEATS)*OUTPUTS",
    ),
    Mutant("waits_for_all", "split", "split", "(takes & ~has_place) == '0", "&has_place"),
    Mutant("pushed_to_all", "split", "split", ".push(fire && takes[i])", ".push(fire)"),
    Mutant("sign_lost", "concat", "concat", "OUT_BITS'($signed(x));", "OUT_BITS'(x);"),
    Mutant("bipolar_as_bits", "concat", "concat", "OUT_BITS'(1) : '1;", "OUT_BITS'(1) : '0;"),
    Mutant("turn_too_long", "concat", "concat", "+:16] - 16'd1", "+:16]"),
    Mutant(
        "ready_out_of_turn", "concat", "concat", "turn == TURN_W'(i) && has_place;", "has_place;"
    ),
    Mutant(
        "turn_not_wrapped", "concat", "concat", "turn == TURN_W'(INPUTS - 1) ? '0 :", "1'b0 ? '0 :"
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
        "first_group_again",
        "window",
        "line_buffer",
        "DILATION_Y * ROW + SIZE;",
        "DILATION_Y * ROW;",
    ),
    Mutant(
        "group_not_rewound",
        "window",
        "line_buffer",
        "ends_group && last_group;",
        "ends_group;",
    ),
    Mutant(
        "row_of_the_group_before",
        "window",
        "line_buffer",
        "else if (ends_group) iy",
        "else if (ends_window) iy",
    ),
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
]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.module}-{m.fault}")
def test_the_suite_catches(mutant: Mutant, tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(RTL_FOLDER, modules)
    source = modules / f"{mutant.module}.sv"
    text = source.read_text()
    squeezed = " ".join(text.split())
    assert text.count(mutant.before) == 1, f"{mutant.before!r} stands there once: {squeezed[:80]}"
    source.write_text(text.replace(mutant.before, mutant.after))
    count, images = (4, 12) if mutant.kind in ("window", "pool") else (8, 24)
    dataflow = bench((*random_bench(mutant.kind, count, 0).stages, *directed(mutant.kind)))
    result = check(dataflow, tmp_path, images=images, runs=4, rtl_folder=modules)
    assert result.mismatches > 0
    assert result.first
