#!/usr/bin/env python3
"""Makes the ONNX models of rmt-learn/tests/onnx, with inputs and what onnxruntime answers to them.

    ./x setup --all && .tools/learn/bin/python tools/make_onnx_fixtures.py [FOLDER]

Each NAME.json holds `inputs` and `outputs`, one list a row. Of quantised models both are the integers of the file, of
unsigned bytes the integer less 128; image lanes run by row, column, channel. Models are small, random from fixed
seeds, and made the way PyTorch's exporter (Gemm with transB, Conv in NCHW), onnxruntime's quantiser (both formats)
and skl2onnx make them.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

ROOT = Path(__file__).resolve().parent.parent
ROWS = 120


def constant(name: str, values: np.ndarray):
    return numpy_helper.from_array(values.astype(np.float32), name)


def model(nodes, inputs, outputs, constants) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs + outputs]
    graph = helper.make_graph(nodes, "g", values[: len(inputs)], values[len(inputs) :], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def mlp(seed: int, sizes) -> onnx.ModelProto:
    """Linear and ReLU layers as PyTorch exports them."""
    random = np.random.default_rng(seed)
    nodes, constants, current = [], [], "x"
    for layer, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        constants.append(constant(f"{layer}.weight", random.normal(0, 1 / np.sqrt(inputs), (outputs, inputs))))
        constants.append(constant(f"{layer}.bias", random.normal(0, 0.2, outputs)))
        last = layer == len(sizes) - 2
        name = "y" if last else f"h{layer}"
        nodes.append(
            helper.make_node("Gemm", [current, f"{layer}.weight", f"{layer}.bias"], [name], name=f"/{layer}/Gemm", transB=1)
        )
        if not last:
            nodes.append(helper.make_node("Relu", [name], [f"r{layer}"], name=f"/{layer}/Relu"))
            name = f"r{layer}"
        current = name
    return model(nodes, [("x", [1, sizes[0]])], [("y", [1, sizes[-1]])], constants)


def cnn(seed: int) -> onnx.ModelProto:
    """Convolution with padding, ReLU, max pooling, linear layer: 6 x 6 pixels to 3 classes."""
    random = np.random.default_rng(seed)
    constants = [
        constant("conv.weight", random.normal(0, 0.4, (3, 1, 3, 3))),
        constant("conv.bias", random.normal(0, 0.2, 3)),
        constant("fc.weight", random.normal(0, 0.2, (3, 27))),
        constant("fc.bias", random.normal(0, 0.2, 3)),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["c"], name="/conv", kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"], name="/relu"),
        helper.make_node("MaxPool", ["r"], ["p"], name="/pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="/flatten"),
        helper.make_node("Gemm", ["f", "fc.weight", "fc.bias"], ["y"], name="/fc", transB=1),
    ]
    return model(nodes, [("x", [1, 1, 6, 6])], [("y", [1, 3])], constants)


class Reader(CalibrationDataReader):
    def __init__(self, shape, seed):
        random = np.random.default_rng(seed)
        self.rows = iter([{"x": random.normal(0, 1, shape).astype(np.float32)} for _ in range(100)])

    def get_next(self):
        return next(self.rows, None)


def quantised(made, form, activations) -> onnx.ModelProto:
    shape = [dim.dim_value for dim in made.graph.input[0].type.tensor_type.shape.dim]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int.onnx"
        onnx.save(made, source)
        quantize_static(
            source, target, Reader(shape, 5), quant_format=form, activation_type=activations, weight_type=QuantType.QInt8
        )
        return onnx.load(target)


def parameters(made, node, index):
    """Scale and zero point at two inputs of a node, and what lanes are less than the integer."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    scale, zero = values[node.input[index]], values[node.input[index + 1]]
    return float(scale), int(zero), 128 if zero.dtype == np.uint8 else 0


def write(folder: Path, name: str, made, inputs, outputs) -> None:
    onnx.save(made, folder / f"{name}.onnx")
    rows = [json.dumps({"input": i, "output": o}) for i, o in zip(inputs, outputs)]
    (folder / f"{name}.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")


def write_quantised(folder: Path, name: str, made, seed: int) -> None:
    first = next(node for node in made.graph.node if node.op_type == "QuantizeLinear")
    last = [node for node in made.graph.node if node.op_type == "DequantizeLinear"][-1]
    scale_in, zero_in, shift_in = parameters(made, first, 1)
    scale_out, zero_out, shift_out = parameters(made, last, 1)
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    random = np.random.default_rng(seed)
    inputs, outputs = [], []
    for _ in range(ROWS):
        lanes = random.integers(-128, 128, int(np.prod(shape)))
        x = ((lanes + shift_in - zero_in) * scale_in).astype(np.float32).reshape(shape)
        y = session.run(None, {"x": x})[0].ravel()
        # One channel in, so that the format's order is the lanes' order.
        inputs.append(lanes.tolist())
        outputs.append((np.rint(y / np.float32(scale_out)).astype(int) + zero_out - shift_out).tolist())
    write(folder, name, made, inputs, outputs)


def write_float(folder: Path, name: str, made, count: int, draw) -> None:
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs, outputs = [], []
    for _ in range(ROWS):
        x = draw(count)
        shape = [1 if not isinstance(d, int) or d < 1 else d for d in session.get_inputs()[0].shape]
        result = session.run(None, {session.get_inputs()[0].name: x.astype(np.float32).reshape(shape)})
        inputs.append(x.tolist())
        outputs.append(np.asarray(result[0]).ravel().astype(float).round(5).tolist())
    write(folder, name, made, inputs, outputs)


def scikit(folder: Path) -> None:
    from skl2onnx import to_onnx
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeRegressor

    random = np.random.default_rng(9)
    x = random.integers(-1000, 1000, (600, 5))
    noise = random.integers(-200, 200, 600)
    y = (x[:, 0] + noise > 300).astype(int) + (x[:, 1] * x[:, 2] > 0)
    draw = lambda count: random.integers(-1000, 1000, count)
    models = {
        "sk_mlp": make_pipeline(StandardScaler(), MLPClassifier([9], max_iter=300, random_state=1)).fit(x, y),
        "sk_forest": RandomForestClassifier(5, max_depth=5, random_state=1).fit(x, y),
        "sk_boosted": GradientBoostingClassifier(n_estimators=8, max_depth=3, random_state=1).fit(x, (y > 0).astype(int)),
        "sk_regressor": DecisionTreeRegressor(max_depth=5, random_state=1).fit(x, x[:, 3] * 0.25 + x[:, 0]),
    }
    for name, fitted in models.items():
        made = to_onnx(fitted, x[:1].astype(np.float32), options={} if name == "sk_regressor" else {"zipmap": False})
        write_float(folder, name, made, 5, draw)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "rmt-learn/tests/onnx"
    folder.mkdir(parents=True, exist_ok=True)
    for name, form, activations in [
        ("qdq_u8", QuantFormat.QDQ, QuantType.QUInt8),
        ("qdq_i8", QuantFormat.QDQ, QuantType.QInt8),
        ("qoperator_u8", QuantFormat.QOperator, QuantType.QUInt8),
    ]:
        write_quantised(folder, f"mlp_{name}", quantised(mlp(1, [8, 12, 3]), form, activations), 2)
        write_quantised(folder, f"cnn_{name}", quantised(cnn(3), form, activations), 4)
    random = np.random.default_rng(6)
    draw = lambda count: random.normal(0, 1, count).round(3)
    write_float(folder, "mlp_float", mlp(1, [8, 12, 3]), 8, draw)
    write_float(folder, "cnn_float", cnn(3), 36, draw)
    scikit(folder)
    # A recurrent layer and a bend: what must be refused.
    recurrent = onnx.load(folder / "mlp_float.onnx")
    recurrent.graph.node.insert(1, helper.make_node("LSTM", ["h0", "w", "r"], ["l"], name="/lstm", hidden_size=4))
    recurrent.graph.node.append(helper.make_node("Erf", ["y"], ["z"], name="/erf"))
    onnx.save(recurrent, folder / "unsupported.onnx")


if __name__ == "__main__":
    main()
