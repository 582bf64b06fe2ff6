"""Faults of what stores, cuts, joins and splits streams."""

from __future__ import annotations

from .mutant import Mutant

MUTANTS = (
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
        "stream_fifo",
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
        "read_without_place", "fifo", "stream_fifo", "waiting != '0 && has_place", "waiting != '0"
    ),
    Mutant(
        "place_not_given_back", "fifo", "stream_fifo", "if (fire != pop) places", "if (fire) places"
    ),
    Mutant(
        "read_before_it_came",
        "fifo",
        "stream_fifo",
        "assign read          = waiting != '0",
        "assign read = (waiting != '0 || fire)",
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
)
