"""Faults of the kernels of layers and of the trees that they share."""

from __future__ import annotations

from .mutant import Mutant


def fault(kernel: str, module: str, name: str, before: str, after: str) -> Mutant:
    """Return a fault that layers of one kernel see."""
    return Mutant(name, "matvec", module, before, after, kernel)


MUTANTS = (
    fault("planes", "counter_7_3", "carry_lost", ".carry(y[2])", ".carry()"),
    fault("planes", "full_adder", "minority", "| (bits[2] & (bits[0]", "^ (bits[2] & (bits[0]"),
    fault("planes", "bit_heap", "twos_as_ones", "= count[1];", "= count[0];"),
    fault("planes", "ternary_adder", "two_rows", "row_0 + row_1 + row_2", "row_0 + row_1"),
    fault(
        "planes", "bit_heap", "adder_too_early", "(MOST < 6 && BELOW > 3", "(MOST < 7 && BELOW > 3"
    ),
    fault(
        "signed",
        "dot_signed",
        "subtraction_without_one",
        ".ones(is_negative)",
        ".ones(is_negative & {TERMS{is_negative[0]}})",
    ),
    fault(
        "signed",
        "dot_signed",
        "pair_subtracted_for_added",
        "w[AT] == w[AT+W_BITS] ? sum",
        "w[AT] != w[AT+W_BITS] ? sum",
    ),
    fault("signed", "dot_signed", "zero_weight_used", "w[AT] ? sum : '0;", "sum;"),
    fault("signed", "dot_signed", "minus_two_as_minus_one", "sum << 1 : '0;", "sum : '0;"),
    fault(
        "signed",
        "dot_signed",
        "high_plane_positive",
        "localparam logic FLIP = W_FORM == 1 &&",
        "localparam logic FLIP = W_FORM == 3 &&",
    ),
    fault("signed", "dot_signed", "rest_added", "rest <= -sum;", "rest <= sum;"),
    fault("signed", "dot_signed", "ones_of_planes_lost", ".ones(ones_1)", ".ones('0)"),
    fault(
        "shift",
        "dot_shift",
        "zero_weight_used",
        "w[AT+:SHIFT_W] == '0 ? '0 : above[TERM_W:1]",
        "above[TERM_W:1]",
    ),
    fault("shift", "dot_shift", "sign_ignored", "shifted ^ {TERM_W{is_minus}};", "shifted;"),
    fault("shift", "dot_shift", "one_lost_below", "{W_LOW{one}}", "{W_LOW{1'b0}}"),
    fault(
        "shift", "dot_shift", "shifted_too_far", "'0 : above[TERM_W:1]", "'0 : above[TERM_W-1:0]"
    ),
    fault(
        "planes",
        "dot_planes",
        "high_plane_positive",
        "(WITH_W != 0 && I ==",
        "(WITH_W == 2 && I ==",
    ),
    fault(
        "planes", "dot_planes", "high_plane_of_bits_not_inverted", "a ^ b ^ !HIGH", "a ^ b ^ 1'b1"
    ),
    fault(
        "planes",
        "dot_planes",
        "sum_of_inputs_too_small",
        "sum - (sum << W_BITS)",
        "sum - (sum << 1)",
    ),
    fault("planes", "dot_planes", "inverted_planes_counted", "- (TOO_MUCH << 1)", "- TOO_MUCH"),
    fault("planes", "dot_planes", "popcount_of_bits_ignored", " - WIDE_W'(positive);", ";"),
    fault(
        "coded",
        "dot_coded",
        "signs_of_another_plane",
        "= w[(n*SIMD+i)*W_BITS+p]",
        "= w[(n*SIMD+i)*W_BITS]",
    ),
    fault(
        "coded",
        "scaled_planes",
        "digits_of_all_stages_at_once",
        ".CYCLES(BELOW)) late",
        ".CYCLES(0)) late",
    ),
    fault(
        "coded",
        "scaled_planes",
        "total_kept_between_sums",
        "== '0) total <= '0;",
        "== '0) total <= total;",
    ),
    fault("coded", "scaled_planes", "halves_not_halved", "whole >>> HALVED", "whole"),
    fault(
        "coded", "scaled_planes", "subtracted_digit_added", "= sum[p] - plane;", "= sum[p] + plane;"
    ),
    fault(
        "coded",
        "scaled_planes",
        "total_of_the_stage_before_lost",
        "assign from = pulse[BELOW] ?",
        "assign from = !pulse[BELOW] ?",
    ),
    fault(
        "adder", "dot_adder", "one_for_the_wrong_sign", ".ones(is_positive)", ".ones(~is_positive)"
    ),
    fault(
        "adder",
        "dot_adder",
        "sign_of_the_weight_ignored",
        "TERM_W'($signed(code))",
        "TERM_W'(code)",
    ),
    fault(
        "adder",
        "dot_adder",
        "difference_too_narrow",
        "? WIDER_W : WIDER_W + 1;",
        "? WIDER_W : WIDER_W;",
    ),
    fault(
        "signed",
        "adder_tree",
        "ones_of_half_the_tree_lost",
        ".ones(ones[TERMS-1:LOW])",
        ".ones(HIGH'(0))",
    ),
    fault("signed", "carried_sum", "carry_not_added", "{b, carry}", "{b, 1'b0}"),
    fault(
        "signed",
        "weighted_sum",
        "ones_of_the_heavy_half_lost",
        ".ones(ones[PLANES-1:LOW])",
        ".ones(HIGH'(0))",
    ),
    fault("planes", "weighted_sum", "low_bits_lost", "= wide[LOW-1:0];", "= '0;"),
    fault("shift", "lanes", "bipolar_as_bits", "{!x[i], 1'b1}", "{1'b0, x[i]}"),
    fault(
        "adder",
        "lanes",
        "unsigned_as_signed",
        "{1'b0, x[i*X_BITS+:X_BITS]}",
        "{x[i*X_BITS+X_BITS-1], x[i*X_BITS+:X_BITS]}",
    ),
    fault(
        "xnor",
        "compressor",
        "carries_lost",
        "next = {carries, twos};",
        "next = {carries & '0, twos};",
    ),
    fault("xnor", "compressor", "low_bits_early", "$countones(CUTS)", "$countones(CUTS / 4)"),
    fault("xnor", "column", "bits_lost", "rest = {sums, a[N-1:3*ADDERS]}", "rest = REST'(sums)"),
    fault(
        "signed",
        "adder_graph",
        "second_added_for_subtracted",
        "top = first[SUM_W-1:LOW] - second;",
        "top = first[SUM_W-1:LOW] + second;",
    ),
    fault(
        "signed",
        "adder_graph",
        "bits_below_the_others_lost",
        "sum = {top, first[LOW-1:0]};",
        "sum = {top, LOW'(0)};",
    ),
    fault("signed", "adder_graph", "no_register", "if (IS_KEPT)", "if (IS_KEPT && SUM_W > 5)"),
    fault(
        "signed",
        "adder_graph",
        "signed_node_as_unsigned",
        "NODE_W'($signed(kept))",
        "NODE_W'(kept)",
    ),
    fault("signed", "sum_of_three", "third_added_for_subtracted", "y = two - c;", "y = two + c;"),
    fault(
        "xnor",
        "unrolled_xnor",
        "carries_a_cycle_early",
        ".WIDTH(4 * ADDERS), .CYCLES(FRONT)",
        ".WIDTH(4 * ADDERS), .CYCLES(0)",
    ),
    fault("xnor", "folded_xnor", "xor_for_xnor", "assign lanes = ~x;", "assign lanes = x;"),
    fault("xnor", "folded_xnor", "three_without_carry", "(first_second | first_third)", "'0"),
    fault(
        "xnor", "folded_xnor", "nine_of_other_threes", "(carry_b & carry_c)", "(carry_b & ~carry_c)"
    ),
    fault("xnor", "folded_xnor", "third_three_for_second", "after_b <= b;", "after_b <= c;"),
)
