"""Damaged and hostile model files end in one line."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from popshift.hw.errors import ModelFileError
from popshift.hw.frontend import load

from .qonnx_builder import GraphBuilder


@pytest.fixture
def model(tmp_path):
    return GraphBuilder(1, 64, dtype="UINT8").linear(np.ones((32, 64))).save(tmp_path)


def refuse(path, message):
    with pytest.raises(ModelFileError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def with_external_data(model, location):
    """Store the weights of ``model`` as external data and point to ``location``."""
    proto = onnx.load(model)
    onnx.save(proto, model, save_as_external_data=True, location="weights.data", size_threshold=0)
    proto = onnx.load(model, load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    model.write_bytes(proto.SerializeToString())
    return model


def test_missing_file(tmp_path):
    refuse(tmp_path / "no.onnx", r"the model file does not exist; give the path of an \.onnx file")


def test_folder_instead_of_a_file(tmp_path):
    refuse(tmp_path, r"the model file is a folder")


def test_empty_file(tmp_path):
    path = tmp_path / "empty.onnx"
    path.touch()
    refuse(path, r"the model file is empty; export the model again")


@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_truncated_file(model, part):
    content = model.read_bytes()
    model.write_bytes(content[: int(len(content) * part)])
    refuse(model, r"truncated or not ONNX")


def test_every_truncation_is_an_error_of_one_line(model):
    content = model.read_bytes()
    whole = load(model)
    for length in range(1, len(content), 97):
        model.write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            load(model)
    model.write_bytes(content)
    assert load(model).outputs == whole.outputs


@pytest.mark.parametrize("content", [b"hello, world\n" * 9, bytes(1000), b"\x89PNG\r\n" * 40])
def test_not_onnx(tmp_path, content):
    path = tmp_path / "text.onnx"
    path.write_bytes(content)
    refuse(path, r"truncated or not ONNX")


def test_tensor_that_is_too_short(model):
    proto = onnx.load(model)
    proto.graph.initializer[0].raw_data = b"\0" * 12
    model.write_bytes(proto.SerializeToString())
    refuse(model, r"tensor 'c0' is damaged \(.*\); export the model again")


def test_too_large(tmp_path, monkeypatch, model):
    monkeypatch.setattr("popshift.hw.frontend.model_file.MAX_BYTES", 100)
    refuse(model, r"\d+ bytes, but an ONNX file holds at most 100; export the weights as external")


def test_external_data_beside_the_model_is_read(model):
    whole = load(model)
    again = load(with_external_data(model, "weights.data"))
    np.testing.assert_array_equal(whole.stages[0].weights, again.stages[0].weights)


@pytest.mark.parametrize("location", ["../weights.data", "/etc/hostname", "a/../../x", ""])
def test_external_data_outside_the_folder(model, location):
    refuse(with_external_data(model, location), r"outside the folder of the model; put both files")


def test_external_data_behind_a_link(tmp_path, model):
    secret = tmp_path.parent / "secret.data"
    secret.write_bytes(bytes(1 << 14))
    (tmp_path / "link.data").symlink_to(secret)
    refuse(with_external_data(model, "link.data"), r"outside the folder of the model")


def test_missing_external_data(model):
    refuse(with_external_data(model, "gone.data"), r"'gone.data' of tensor 'c0' does not exist")


def test_external_data_that_is_too_short(tmp_path, model):
    with_external_data(model, "weights.data")
    (tmp_path / "weights.data").write_bytes(b"\0" * 10)
    refuse(model, r"external data cannot be read \(.*\)|tensor 'c0' is damaged")


def test_external_data_of_another_size_limit(monkeypatch, model):
    with_external_data(model, "weights.data")
    limit = model.stat().st_size + 1
    monkeypatch.setattr("popshift.hw.frontend.model_file.MAX_BYTES", limit)
    refuse(model, r"external data 'weights.data' is larger than \d+ bytes; ")


def test_names_that_are_no_text(model):
    model.write_bytes(model.read_bytes().replace(b"matmul2", b"m\xff\xfemul2"))
    refuse(model, r"damaged \(a name is no text\)|truncated or not ONNX")


def test_graph_without_nodes(model):
    proto = onnx.load(model)
    del proto.graph.node[:]
    model.write_bytes(proto.SerializeToString())
    refuse(model, r"the graph has no node; export the model again")
