"""Builds the Verilog of a folder with Icarus and runs the bench: run.py FOLDER CONTRACT.json."""

import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner


def main():
    folder, contract = Path(sys.argv[1]), Path(sys.argv[2])
    runner = get_runner("icarus")
    build = folder / "build"
    runner.build(
        sources=sorted(folder.glob("*.sv")),
        hdl_toplevel="rmt_card",
        build_dir=build,
        build_args=["-g2012"],
        timescale=("1ns", "1ps"),
        always=True,
    )
    here = Path(__file__).parent
    results = runner.test(
        test_module="test_card",
        hdl_toplevel="rmt_card",
        build_dir=build,
        test_dir=here,
        results_xml=str(build / "results.xml"),
        extra_env={"CARD_CONTRACT": str(contract), "PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    tests, failures = get_results(results)
    print(f"cocotb: {tests} tests, {failures} failures")
    return 0 if tests >= 7 and failures == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
