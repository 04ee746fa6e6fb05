"""``python -m sk_shadownet``: taggers of jets for an FPGA, and what they cost.

Trains on the embedded sample of simulated LHC jets: a network of tables within 500 look-up tables, and a
perceptron dense, pruned, and of the pruned size from scratch. Writes the network of tables and the pruned one
as hardware projects and emulates the test jets in them. Models, figures and projects go to a folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import joblib
import torch

from sk_shadownet import __version__
from sk_shadownet._demo import Models, Result, compare, export, table
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.exceptions import ShadowNetError
from sk_shadownet.fpga._output_folder import replacing_folder


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    jets = load_lhc_jets()
    try:
        with replacing_folder(options.output_dir, {"written_by": "python -m sk_shadownet"}) as folder:
            models, results = compare(
                jets,
                tuple(options.hidden),
                options.features,
                tuple(options.target),
                options.backend,
                options.random_state,
                options.verbose,
                print,
            )
            print(f"\n{table(results)}\n")
            pruned = models.pruned[-1]
            selected = [jets.feature_names[n] for n in pruned.get_support(indices=True)]
            print(f"{pruned.architecture_!r}\nselected: {', '.join(selected)}")
            _write(folder, models, results, selected, options)
            kept = "tables.joblib, model.joblib (the pruned Pipeline), network.pt (plain torch), report.json"
            if options.backend != "none":
                print(f"\n{export(models, jets, folder / 'firmware', options.backend, print)}")
                kept += ", firmware/tables/ and firmware/pruned/ (README.md there)"
    except ShadowNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"\nkept in {options.output_dir}/: {kept}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sk_shadownet", description=__doc__)
    parser.add_argument(
        "--features", type=int, default=8, help="inputs to select (default: %(default)s of 16)"
    )
    parser.add_argument(
        "--hidden", type=int, nargs="+", default=[64, 32, 32], help="hidden widths at the start"
    )
    parser.add_argument("--target", type=int, nargs="+", default=[16, 8, 8], help="hidden widths at the end")
    parser.add_argument(
        "--backend", default="Vitis", help="of to_fpga: Vitis, Quartus, verilog, ...; none for no hardware"
    )
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--output-dir", type=Path, default=Path("shadownet_output"))
    parser.add_argument("--verbose", action="store_true", help="show a bar for every fit")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _write(
    folder: Path, models: Models, results: list[Result], selected: list[str], options: argparse.Namespace
) -> None:
    joblib.dump(models.tables, folder / "tables.joblib")
    joblib.dump(models.pruned, folder / "model.joblib")
    torch.save(models.pruned[-1].module_, folder / "network.pt")
    report = {
        "results": [asdict(result) for result in results],
        "selected_features": selected,
        "random_state": options.random_state,
        "data": "embedded sample of simulated LHC jets; not OpenML 42468",
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
