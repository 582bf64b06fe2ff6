"""The lint of the SystemVerilog: silent on ours, loud on a flaw."""

from importlib import resources
from pathlib import Path

import pytest

from popshift.flows.lint_rtl import libraries_of, lint, main

RTL = Path(str(resources.files("popshift.hw") / "rtl"))

CLEAN = "module clean (input logic a, output logic y);\n  assign y = a;\nendmodule\n"
UNUSED = "module unused (input logic a, output logic y);\n  logic b;\n  assign b = a;\n  assign y = a;\nendmodule\n"
RECURSIVE = """\
module tree #(parameter int N = 4) (input logic [N-1:0] a, output logic y);
  if (N == 1) begin : gen_leaf
    assign y = a[0];
  end else begin : gen_split
    logic [1:0] part;
    tree #(.N(N / 2)) low (.a(a[N/2-1:0]), .y(part[0]));
    tree #(.N(N - N / 2)) high (.a(a[N-1:N/2]), .y(part[1]));
    assign y = ^part;
  end
endmodule
"""


def write(folder: Path, text: str) -> Path:
    path = folder / f"{text.split()[1]}.sv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", [CLEAN, RECURSIVE])
def test_a_clean_module_says_nothing(tmp_path, text):
    assert lint(write(tmp_path, text), tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        UNUSED,
        RECURSIVE.replace("  if (N == 1)", "  logic junk;\n  assign junk = a[0];\n  if (N == 1)"),
    ],
)
def test_an_unused_signal_is_reported_with_file_and_line(tmp_path, text):
    path = write(tmp_path, text)
    said = lint(path, tmp_path)
    assert any("UNUSEDSIGNAL" in line and f"{path.name}:2" in line for line in said)


def test_a_module_that_uses_another_finds_it_in_the_folder(tmp_path):
    write(tmp_path, CLEAN)
    user = "module user (input logic a, output logic y);\n  clean it (.a, .y);\nendmodule\n"
    assert lint(write(tmp_path, user), tmp_path) == []


def test_one_flawed_module_fails_the_whole_lint(tmp_path, capsys):
    write(tmp_path, CLEAN)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 modules, 0 with warnings"
    write(tmp_path, UNUSED)
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 modules, 1 with warnings"


def test_an_empty_folder_is_an_error_and_not_a_success(tmp_path):
    assert main([str(tmp_path)]) == 2


@pytest.mark.parametrize(
    "source",
    [path for pattern in ("*.sv", "*/*.sv") for path in sorted(RTL.glob(pattern))],
    ids=lambda path: path.relative_to(RTL).as_posix(),
)
def test_every_module_of_the_package_is_clean(source):
    assert lint(source, *libraries_of(source)) == []
