"""First firmware: does a network still answer the same in fixed point, and what does it cost? Jets again.

A fitted classifier becomes an hls4ml project and Verilog, is emulated bit for bit, compared with itself in
floating point, and estimated. No vendor tool is needed. The hls4ml part compiles with g++.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.fpga import compare_resources, to_fpga


def main(folder: Path) -> None:
    # Fit: a network small enough for a trigger, and the wide one it came from.
    jets = load_lhc_jets(as_frame=True)
    X_train, X_test, y_train, y_test = jets.X_train, jets.X_test, jets.y_train, jets.y_test
    wide = ShadowMLPClassifier((64, 32, 32), max_epochs=15, random_state=0).fit(X_train, y_train)
    clf = ShadowMLPClassifier(
        (64, 32, 32),
        n_features_to_select=8,
        target_hidden_layer_sizes=(16, 8, 8),
        max_epochs=25,
        random_state=0,
    ).fit(X_train, y_train)

    # Export: one call plans all formats and writes an hls4ml project.
    fpga = clf.to_fpga(folder / "trigger_fw", backend="Vitis", clock_period=5.0)
    print(fpga.plan)
    print(fpga.input_names)

    # Compare: emulated hardware against the float network, on all test jets.
    print(fpga.compare(X_test, y_test))
    print(fpga.predict(X_test.iloc[:5]), clf.predict(X_test.iloc[:5]))

    # Formats: what was chosen, layer by layer.
    print(fpga.plan.inputs)
    for layer in fpga.plan.layers:
        print(layer.weight_format, layer.output_format)

    # Verilog: the same network as a netlist of shifts and adders.
    rtl = clf.to_fpga(folder / "trigger_rtl", backend="verilog", clock_period=5.0)
    print(rtl.estimate())

    # Gain: what did pruning buy, at equal bits?
    dense = wide.to_fpga(folder / "dense_rtl", backend="verilog", precision=8)
    pruned = clf.to_fpga(folder / "pruned_rtl", backend="verilog", precision=8)
    print(compare_resources(dense, pruned))

    # Pipeline: the scaler becomes part of the first layer, so that the ports take raw features.
    few = X_train.iloc[::5], y_train.iloc[::5]
    pipe = make_pipeline(StandardScaler(), ShadowMLPClassifier((16,), n_features_to_select=4, max_epochs=10))
    pipe.set_params(shadowmlpclassifier__random_state=0).fit(*few)
    ports = to_fpga(pipe, folder / "pipeline_fw", precision=8)
    print(ports.input_names)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
