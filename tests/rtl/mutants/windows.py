"""Faults of windows and pools."""

from __future__ import annotations

from .mutant import Mutant

MUTANTS = (
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
    Mutant(
        "tail_counted",
        "pool",
        "pool",
        "fire && is_inside});",
        "fire});",
    ),
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
    Mutant("partial_read_late", "pool", "pool", ".read_at(early_word)", ".read_at(word)"),
)
