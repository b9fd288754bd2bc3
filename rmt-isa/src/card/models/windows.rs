//! Descriptors of windows: all that address generation adds up, multiplied out beforehand.

use super::super::engine::*;
use super::super::models_error::ModelLowerError;
use crate::program::{Program, Window};

/// Places of the output.
pub(super) fn places(window: &Window) -> usize {
    usize::from(window.out_height) * usize::from(window.out_width)
}

/// Number of a kernel shape (height, width, channels): that of the first window that has it.
pub(super) fn kernel_number(program: &Program, shape: [u32; 3]) -> Option<u32> {
    let of = |window: &Window| [window.height, window.width, window.channels].map(u32::from);
    program.windows.iter().position(|window| of(window) == shape).map(|number| number as u32)
}

/// The descriptor of a window.
///
/// # Errors
/// [`ModelLowerError::Window`] when the window is larger than vectors can be.
pub(super) fn descriptor(
    program: &Program,
    window: &Window,
    shape: &EngineShape,
) -> Result<[u64; WINDOW_WORDS as usize], ModelLowerError> {
    let [in_height, in_width, channels, height, width, out_height, out_width] = [
        window.in_height,
        window.in_width,
        window.channels,
        window.height,
        window.width,
        window.out_height,
        window.out_width,
    ]
    .map(u64::from);
    let (places, row_lanes) = (out_height * out_width, in_width * channels);
    // A stride that is never gone is anything: 0 fits its field.
    let stride_y = if out_height > 1 { u64::from(window.stride_y) } else { 0 };
    let stride_x = if out_width > 1 { u64::from(window.stride_x) } else { 0 };
    let (pad_top, pad_left) = (u64::from(window.pad_top), u64::from(window.pad_left));
    let lanes = u64::from(shape.vector_lanes);
    let kernel = kernel_number(program, [height, width, channels].map(|side| side as u32));
    let sizes = [
        ("input", in_height.saturating_mul(row_lanes), 1..=lanes),
        ("output", places, 1..=lanes),
        ("window", height * width, 1..=256),
        ("vertical stride", stride_y, 0..=511),
        ("horizontal stride", stride_x * channels, 0..=65536),
        ("padding at the top", pad_top, 0..=height.saturating_sub(1)),
        ("padding at the left", pad_left, 0..=width.saturating_sub(1)),
    ];
    for (what, found, range) in sizes {
        if !range.contains(&found) {
            return Err(ModelLowerError::Window {
                window: window.name.clone(),
                reason: format!("its {what} is {found}, this engine takes {range:?}"),
            });
        }
    }
    let pooled = places * channels;
    let segments = (width * channels).div_ceil(shape.array.into());
    Ok([
        WINDOW_VALID.insert(1)
            | WINDOW_KERNEL.insert(kernel.unwrap_or(0).into())
            | WINDOW_INPUTS.insert(in_height * row_lanes)
            | WINDOW_PLACES.insert(places)
            | WINDOW_MOST_OUTPUTS.insert(lanes / places)
            | WINDOW_POOLS.insert((pooled <= lanes).into())
            | WINDOW_POOLED.insert(pooled),
        WINDOW_OUT_WIDTH.insert(out_width - 1)
            | WINDOW_IN_HEIGHT.insert(in_height)
            | WINDOW_ROW_LANES.insert(row_lanes)
            | WINDOW_CHANNELS.insert(channels - 1)
            | WINDOW_HEIGHT.insert(height - 1)
            | WINDOW_WIDTH.insert(width - 1)
            | WINDOW_SEGMENTS.insert(segments - 1),
        WINDOW_STRIDE_ROWS.insert(stride_y)
            | WINDOW_STRIDE_ROW_LANES.insert(stride_y * row_lanes)
            | WINDOW_STRIDE_LANES.insert(stride_x * channels)
            | WINDOW_PAD_ROWS.insert(pad_top)
            | WINDOW_PAD_ROW_LANES.insert(pad_top * row_lanes),
        WINDOW_PAD_LANES.insert(pad_left * channels) | WINDOW_LAST_PLACE.insert(places - 1),
    ])
}
