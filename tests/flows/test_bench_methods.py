"""The benchmark of methods takes one of every family and reports what DESIGN asks for."""

from __future__ import annotations

import json
import re

from popshift.flows.bench import methods
from popshift.flows.bench.methods import METHODS, Measured, Method, config_of, rows
from popshift.models.precision import WEIGHTS


def family(weight: str) -> str:
    return re.sub(r"\d+(-pot)?$|-(cosine|learned|pruned)$", "", weight)


def measured(method: Method, lut: float = 100.0, mismatches: int = 0) -> Measured:
    return Measured(
        method=method,
        accuracy=0.5,
        kernels=("shift", "shift", "signed"),
        weight_bits=1234,
        lut=lut,
        bram=2.0,
        checks=9,
        elements=5000,
        mismatches=mismatches,
    )


def test_every_family_of_weights_with_integers_is_there():
    families = {family(weight) for weight in WEIGHTS} - {"float"}
    assert families == {family(method.weight) for method in METHODS}


def test_every_method_is_a_build_that_ends_with_the_proof(tmp_path):
    for method in METHODS:
        config = config_of(method, tmp_path)
        assert (config.synth.enabled, config.verify.images) == (False, methods.IMAGES)
        assert config.model.options["weight"] == method.weight


def test_luts_stand_beside_those_of_eight_bits():
    found = [measured(Method("s3"), 50.0), measured(Method("int8"), 200.0)]
    first, last = (row.as_json() for row in rows(found))
    assert (first["work"], first["ratio"], first["peer_name"]) == ("s3 x uint4", 0.25, "int8")
    assert last["ratio"] == 1


def test_a_difference_is_a_failure(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(methods, "float_accuracy", lambda: 0.75)
    for mismatches in (0, 3):
        monkeypatch.setattr(
            methods, "measure", lambda _, method, n=mismatches: measured(method, mismatches=n)
        )
        assert methods.main(True, METHODS[:2]) == (mismatches > 0)
        report = json.loads(capsys.readouterr().out)
        assert report["accuracy_float"] == 0.75
        assert [one["mismatches"] for one in report["methods"]] == [mismatches] * 2
        assert methods.main(False, METHODS[:2]) == (mismatches > 0)
        shown = capsys.readouterr().out
        assert "1,234" in shown
        assert "shift, signed" in shown
