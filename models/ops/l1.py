"""The operators of adder networks: sums of absolute differences."""

from __future__ import annotations

from .definition import Definition

L1_MATMUL = Definition(
    op="L1MatMul",
    signature="(X, W) => (Y)",
    body=lambda nodes: (
        """
        last = Constant <value_ints = [-1]> ()
        second = Constant <value_ints = [-2]> ()
        columns = Unsqueeze (X, last)
        differences = Sub (columns, W)
        distances = Abs (differences)
        sums = ReduceSum <keepdims = 0> (distances, second)
        Y = Neg (sums)
    """
    ),
)

# A convolution with kernels that are 1 at one tap and 0 elsewhere takes the windows apart, one
# channel at a time. Scan then goes over the output channels of a group, so that no more than the
# windows themselves is ever held: (images, groups, taps, positions).
L1_CONV = Definition(
    op="L1Conv",
    signature="<kernel_shape, strides, pads, dilations, group> (X, W) => (Y)",
    body=lambda nodes: (
        """
        zero = Constant <value_ints = [0]> ()
        one = Constant <value_ints = [1]> ()
        two = Constant <value_ints = [2]> ()
        three = Constant <value_ints = [3]> ()
        four = Constant <value_ints = [4]> ()

        weight_shape = Shape (W)
        size = Slice (weight_shape, two, four)
        height = Slice (weight_shape, two, three)
        width = Slice (weight_shape, three, four)
        area = Mul (height, width)
        square = Concat <axis = 0> (area, area)
        blank = ConstantOfShape (square)
        eye = EyeLike (blank)
        one_channel = Constant <value_ints = [-1, 1]> ()
        taps_shape = Concat <axis = 0> (one_channel, size)
        taps = Reshape (eye, taps_shape)
        each_map = Constant <value_ints = [-1, 1, 0, 0]> ()
        maps = Reshape (X, each_map)
        taken = Conv <kernel_shape: ints = @kernel_shape, strides: ints = @strides,
                      pads: ints = @pads, dilations: ints = @dilations> (maps, taps)
        each_row = Constant <value_ints = [0, 0, -1]> ()
        rows = Reshape (taken, each_row)
        rows_of_one = Unsqueeze (rows, zero)

        group_number = Constant <value_int: int = @group> ()
        groups = Unsqueeze (group_number, zero)
        kernels = Flatten <axis = 1> (W)
        kernels_shape = Shape (kernels)
        synapses = Slice (kernels_shape, one, two)
        rest = Constant <value_ints = [-1]> ()
        windows_shape = Concat <axis = 0> (rest, groups, synapses, zero)
        windows = Reshape (rows_of_one, windows_shape)
        kernels_of_one = Unsqueeze (kernels, zero)
        grouped_shape = Concat <axis = 0> (groups, rest, zero)
        grouped = Reshape (kernels_of_one, grouped_shape)
        by_channel = Transpose <perm = [1, 0, 2]> (grouped)
        last_windows, channels = Scan <num_scan_inputs = 1, body = channel (
            float[n, g, k, p] x, float[g, k] w
        ) => (float[n, g, k, p] x_again, float[n, g, p] y) {
            x_again = Identity (x)
            around = Constant <value_ints = [0, 3]> ()
            w_columns = Unsqueeze (w, around)
            differences = Sub (x, w_columns)
            distances = Abs (differences)
            synapse_axis = Constant <value_ints = [2]> ()
            sums = ReduceSum <keepdims = 0> (distances, synapse_axis)
            y = Neg (sums)
        }> (windows, by_channel)
        by_image = Transpose <perm = [1, 2, 0, 3]> (channels)
        taken_shape = Shape (taken)
        map_size = Slice (taken_shape, two, four)
        all_channels = Constant <value_ints = [0, -1]> ()
        output_shape = Concat <axis = 0> (all_channels, map_size)
        Y = Reshape (by_image, output_shape)
    """
    ),
)
