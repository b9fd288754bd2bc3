//! Windows of convolutions and pooling.

use rmt_isa::program::Window;

use super::chain::Shape;
use super::proto::NodeProto;

/// Output channels, input channels, height and width of a convolution's weights, which must fit the image.
pub fn weight_shape(
    node: &NodeProto,
    weights: &[usize],
    image: Shape,
) -> Result<[usize; 4], String> {
    let [outputs, channels, height, width] = weights[..] else {
        return Err(format!("weights of the shape {weights:?}; four dimensions are needed"));
    };
    let Shape::Image { channels: found, .. } = image else {
        return Err("it takes an image, features come".into());
    };
    if node.int("group", 1) != 1 || channels != found || outputs == 0 {
        return Err("groups are not supported, and weights must fit the image's channels".into());
    }
    Ok([outputs, channels, height, width])
}

/// The window of a node over an image, and the shape of the result for `outputs` channels.
pub fn window_of(
    node: &NodeProto,
    shape: Shape,
    kernel: [usize; 2],
    outputs: usize,
) -> Result<(Window, Shape), String> {
    let refuse = |reason: String| Err(format!("{}: {reason}", node.label()));
    let Shape::Image { channels, height, width } = shape else {
        return refuse("it takes an image, features come".into());
    };
    if node.ints("dilations", &[1, 1]).iter().any(|dilation| *dilation != 1) {
        return refuse("dilations other than 1 are not supported".into());
    }
    if node.int("ceil_mode", 0) != 0 {
        return refuse("ceil_mode is not supported".into());
    }
    let auto_pad = node.attribute("auto_pad").map_or(&[][..], |attribute| &attribute.s);
    if !matches!(auto_pad, b"" | b"NOTSET" | b"VALID") {
        return refuse("auto_pad is not supported; export the pads themselves".into());
    }
    let small = |value: i64| usize::try_from(value).ok().filter(|value| *value <= 256);
    let strides: Option<Vec<_>> = node.ints("strides", &[1, 1]).iter().map(|v| small(*v)).collect();
    let pads: Option<Vec<_>> = node.ints("pads", &[0; 4]).iter().map(|v| small(*v)).collect();
    let (Some(strides), Some(pads)) = (strides, pads) else {
        return refuse("a stride or pad is negative or above 256".into());
    };
    let ([stride_y, stride_x], [top, left, bottom, right]) = (&strides[..], &pads[..]) else {
        return refuse("two strides and four pads are needed".into());
    };
    let size = |length: usize, pad: usize, kernel: usize, stride: usize| {
        (length + pad).checked_sub(kernel)?.checked_div(stride).map(|steps| steps + 1)
    };
    let rows = size(height, top + bottom, kernel[0], *stride_y);
    let columns = size(width, left + right, kernel[1], *stride_x);
    let (Some(out_height), Some(out_width)) = (rows, columns) else {
        return refuse("the window is larger than the image, or a stride is 0".into());
    };
    if *top >= kernel[0] || *left >= kernel[1] || *bottom >= kernel[0] || *right >= kernel[1] {
        return refuse("a window would lie in the padding altogether".into());
    }
    // All lengths are at most 256 + 2 * 256.
    let number = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    let window = Window {
        name: String::new(),
        in_height: number(height),
        in_width: number(width),
        channels: number(channels),
        height: number(kernel[0]),
        width: number(kernel[1]),
        stride_y: number(*stride_y),
        stride_x: number(*stride_x),
        pad_top: number(*top),
        pad_left: number(*left),
        out_height: number(out_height),
        out_width: number(out_width),
    };
    Ok((window, Shape::Image { channels: outputs, height: out_height, width: out_width }))
}

/// The attribute `kernel_shape`.
pub fn kernel_of(node: &NodeProto) -> Result<[usize; 2], String> {
    match node.ints("kernel_shape", &[]) {
        [y, x] if (1..=256).contains(y) && (1..=256).contains(x) => Ok([*y as usize, *x as usize]),
        other => Err(format!(
            "{}: kernel_shape {other:?}; two lengths of 1 to 256 are needed",
            node.label()
        )),
    }
}

/// The window that covers a whole image.
pub fn whole_image(node: &NodeProto, shape: Shape) -> Result<(Window, Shape), String> {
    match shape {
        Shape::Image { channels, height, width } => {
            window_of(node, shape, [height, width], channels)
        }
        _ => Err(format!("{}: it takes an image, features come", node.label())),
    }
}

/// Kernel weights `[outputs, channels, height, width]` in the machine's order
/// `[outputs, height, width, channels]`.
pub fn reordered<T: Copy>(values: &[T], shape: [usize; 4]) -> Vec<T> {
    let [outputs, channels, height, width] = shape;
    let mut ordered = Vec::with_capacity(values.len());
    for output in 0..outputs {
        for place in 0..height * width {
            for channel in 0..channels {
                ordered.push(values[(output * channels + channel) * height * width + place]);
            }
        }
    }
    ordered
}
