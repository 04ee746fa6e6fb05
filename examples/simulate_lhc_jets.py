#!/usr/bin/env python3
"""Simulate the jets behind ``load_lhc_jets``, and cut the embedded sample from them.

The public hls4ml jets (OpenML 42468) may not be copied into this package, so a stand-in is simulated
with public pieces, following the published chain:

1. Pythia 8, hard process only: pp -> gg, qq, tt~, WW or ZZ at 13 TeV in a fixed window of parton pT;
   W, Z and t exactly on shell and undecayed; written to a Les Houches file.
2. Pythia 8 on that file, Monash 2013 tune: isotropic hadronic decays of W and Z, initial- and
   final-state showers, multi-parton interactions, hadronisation.
3. Particles with c tau0 > 10 mm are stable, neutrinos dropped, abs(eta) < 3, energies lightly smeared.
4. FastJet anti-kT, leading jet only, matched to an outgoing parton, abs(eta) < 2.4.
5. 16 observables: zlogz and multiplicity on the whole jet, the others on the mMDT-groomed one.

What was chosen against which data, and how far the result can be trusted, stands in the ``DESCR`` of
``load_lhc_jets``. The same seeds give the same jets with pythia8mc 8.317.2, fastjet 3.5.2.0,
numpy 2.4.6 and numba 0.68.1.

Commands, in order (about 70 jets per second of one core)::

    python simulate_lhc_jets.py run --minutes 20     # one file per class and chunk in chunks/
    python simulate_lhc_jets.py merge                # chunks/ -> lhc_jets_pythia.npz, 80/20 division
    python simulate_lhc_jets.py sample               # lhc_jets_pythia.npz -> the file in the package

``run`` needs: ``pip install pythia8mc fastjet numba``. ``merge`` and ``sample`` need nothing beyond
the package.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Correlators = Callable[[Floats, Floats, Floats], Floats]

CLASSES = "gqtwz"
FEATURES = (
    "zlogz c1_b0_mmdt c1_b1_mmdt c1_b2_mmdt c2_b1_mmdt c2_b2_mmdt d2_b1_mmdt d2_b2_mmdt d2_a1_b1_mmdt "
    "d2_a1_b2_mmdt m2_b1_mmdt m2_b2_mmdt n2_b1_mmdt n2_b2_mmdt mass_mmdt multiplicity"
).split()
PACKAGED = Path(__file__).resolve().parents[1] / "sk_shadownet" / "datasets" / "data" / "lhc_jets.npz"

# The papers say 0.8; masses, C1 and multiplicity of the public jets exclude that and fit 0.4.
JET_RADIUS = 0.4
JET_PT_MIN = 100.0  # GeV
JET_ETA_MAX = 2.4
PARTICLE_ETA_MAX = 3.0
MATCH_RADIUS = 0.4
Z_CUT = 0.1  # mMDT is soft drop with beta = 0
# Fraction of a CMS-like single-particle resolution; an effective number read off the W and Z peaks.
SMEARING = 0.35
PT_WINDOW = dict.fromkeys(CLASSES, (1000.0, 1010.0)) | {"g": (1000.0, 1800.0)}  # GeV

HARD_PROCESS = {
    "g": ["HardQCD:gg2gg = on", "HardQCD:qqbar2gg = on"],
    "q": ["HardQCD:qq2qq = on", "HardQCD:gg2qqbar = on", "HardQCD:qqbar2qqbarNew = on"],
    "t": ["Top:gg2ttbar = on", "Top:qqbar2ttbar = on"],
    "w": ["WeakDoubleBoson:ffbar2WW = on"],
    "z": ["WeakDoubleBoson:ffbar2gmZgmZ = on", "WeakZ0:gmZmode = 2"],
}
UNDECAYED = [
    "Beams:eCM = 13000.",
    "PhaseSpace:useBreitWigners = off",
    "PartonLevel:all = off",
    "HadronLevel:all = off",
    "ProcessLevel:resonanceDecays = off",
]
SHOWER = [
    "Beams:frameType = 4",
    "24:onMode = off",
    "24:onIfAny = 1 2 3 4 5",
    "23:onMode = off",
    "23:onIfAny = 1 2 3 4 5",
    "ParticleDecays:limitTau0 = on",
]
PHOTONS = (22, 111)
NEUTRAL_HADRONS = (130, 310, 2112, 3122, 3322)
NEUTRINOS = (12, 14, 16)


def need(module: str) -> Any:
    """Import a module that only the simulation needs, or say how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise SystemExit(
            f"'run' needs {module}, which is not installed; run: pip install pythia8mc fastjet numba"
        ) from error


# 1. Hard process ---------------------------------------------------------------------------------


def make_pythia(settings: list[str], seed: int) -> Any:
    """Initialised Pythia with a seed of its own."""
    pythia = need("pythia8mc").Pythia("", False)
    for setting in ["Print:quiet = on", "Random:setSeed = on", f"Random:seed = {seed}", *settings]:
        if not pythia.readString(setting):
            raise SystemExit(f"Pythia rejects the setting {setting!r}; is it version 8.3?")
    if not pythia.init():
        raise SystemExit("Pythia did not initialise; rerun with 'Print:quiet = off' to see why.")
    return pythia


def hard_events(name: str, n_events: int, seed: int) -> Iterator[str]:
    """Events of one class in Les Houches format, W, Z and t on shell and undecayed."""
    low, high = PT_WINDOW[name]
    window = [f"PhaseSpace:pTHatMin = {low}", f"PhaseSpace:pTHatMax = {high}"]
    pythia = make_pythia([*UNDECAYED, *window, *HARD_PROCESS[name]], seed)
    done = 0
    while done < n_events:
        if not pythia.next():
            continue
        done += 1
        process = pythia.process
        lines = [f"<event>\n4 1 1. {process.scale():.8e} -1. 0.1"]
        for i in (3, 4, 5, 6):
            p = process[i]
            status, mothers = ("-1", "0 0") if i < 5 else ("1", "1 2")
            momentum = " ".join(f"{value:.10e}" for value in (p.px(), p.py(), p.pz(), p.e(), p.m()))
            lines.append(f"{p.id()} {status} {mothers} {p.col()} {p.acol()} {momentum} 0. 9.")
        yield "\n".join([*lines, "</event>\n"])


def write_les_houches(path: Path, name: str, n_events: int, seed: int) -> None:
    """Write `n_events` hard processes of one class."""
    with path.open("w") as stream:
        stream.write('<LesHouchesEvents version="1.0">\n<init>\n')
        stream.write("2212 2212 6500. 6500. 0 0 0 0 3 1\n1. 0. 1. 1\n</init>\n")
        stream.writelines(hard_events(name, n_events, seed))
        stream.write("</LesHouchesEvents>\n")


# 2 and 3. Particles ------------------------------------------------------------------------------


def visible_particles(event: Any, rng: np.random.Generator) -> Floats:
    """Rows (px, py, pz, E) in GeV of the visible final particles in acceptance, lightly smeared."""
    table = np.array([(p.px(), p.py(), p.pz(), p.e(), p.id()) for p in event if p.isFinal()])
    kind = np.abs(table[:, 4]).astype(int)
    pt = np.hypot(table[:, 0], table[:, 1])
    central = np.abs(table[:, 2]) < np.sinh(PARTICLE_ETA_MAX) * pt
    keep = central & ~np.isin(kind, NEUTRINOS)
    momenta, kind, pt = table[keep, :4], kind[keep], pt[keep]
    factor = rng.normal(1.0, SMEARING * resolution(momenta[:, 3], pt, kind))
    return np.asarray(momenta * np.maximum(1e-10, factor)[:, None])


def resolution(energy: Floats, pt: Floats, kind: npt.NDArray[np.int64]) -> Floats:
    """Relative energy resolution of a CMS-like detector for photons, neutral hadrons, and tracks."""
    photon = np.sqrt((0.027 / np.sqrt(energy / 1.6)) ** 2 + (0.24 / energy) ** 2 + 0.005**2)
    neutral = np.sqrt((1.2 / np.sqrt(energy / 7.0)) ** 2 + 0.05**2)
    track = np.sqrt((0.00025 * pt) ** 2 + 0.015**2)
    return np.where(np.isin(kind, PHOTONS), photon, np.where(np.isin(kind, NEUTRAL_HADRONS), neutral, track))


# 4. Jets -----------------------------------------------------------------------------------------


def pseudojets(particles: Floats) -> list[Any]:
    """FastJet particles that remember their row."""
    fastjet = need("fastjet")
    jets = []
    for row, momentum in enumerate(particles.tolist()):
        jet = fastjet.PseudoJet(*momentum)
        jet.set_user_index(row)
        jets.append(jet)
    return jets


def constituents(jet: Any, particles: Floats) -> Floats:
    """Rows of `particles` that a jet is made of."""
    return particles[[c.user_index() for c in jet.constituents()]]


def leading_jet(particles: Floats, partons: list[tuple[float, float]]) -> Floats | None:
    """Particles of the hardest jet, or None where it is not central or matches no outgoing parton."""
    fastjet = need("fastjet")
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, JET_RADIUS)
    sequence = fastjet.ClusterSequence(pseudojets(particles), definition)
    jets = fastjet.sorted_by_pt(sequence.inclusive_jets(JET_PT_MIN))
    if not jets:
        return None
    jet = jets[0]
    distance = min(
        np.hypot(jet.eta() - eta, (jet.phi() - phi + np.pi) % (2 * np.pi) - np.pi) for eta, phi in partons
    )
    if distance > MATCH_RADIUS or abs(jet.eta()) > JET_ETA_MAX:
        return None
    return constituents(jet, particles)


def groom(particles: Floats) -> tuple[float, Floats]:
    """Mass in GeV and particles of the jet after the modified mass-drop tagger.

    Recluster with Cambridge/Aachen, then undo the last merging until
    ``min(pT_a, pT_b) / (pT_a + pT_b) > Z_CUT``, each time following the harder branch.
    """
    fastjet = need("fastjet")
    everything = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
    sequence = fastjet.ClusterSequence(pseudojets(particles), everything)
    jet = fastjet.sorted_by_pt(sequence.inclusive_jets(0.0))[0]
    a, b = fastjet.PseudoJet(), fastjet.PseudoJet()
    while jet.has_parents(a, b):
        pt_a, pt_b = a.pt(), b.pt()
        if min(pt_a, pt_b) / (pt_a + pt_b) > Z_CUT:
            break
        jet = fastjet.PseudoJet(a) if pt_a >= pt_b else fastjet.PseudoJet(b)
    return jet.m(), constituents(jet, particles)


# 5. Observables ----------------------------------------------------------------------------------


def correlators(pt: Floats, y: Floats, phi: Floats) -> Floats:
    """Energy correlation functions of a jet, with ``z_i = pT_i / sum pT`` and angles ``d_ij``.

    Returns e2 for beta = 0, 1, 2 (sum z_i z_j d_ij^beta), then for beta = 1, 2 in turn
    e3 (sum z_i z_j z_k times the product of the three angles^beta), 1e3 (the smallest angle only) and
    2e3 (the product of the two smallest). Plain loops: `run` compiles them.
    """
    n = len(pt)
    z = pt / pt.sum()
    angle = np.zeros((n, n))
    out = np.zeros(9)
    for i in range(n):
        for j in range(i + 1, n):
            dphi = abs(phi[i] - phi[j])
            if dphi > np.pi:
                dphi = 2 * np.pi - dphi
            squared = (y[i] - y[j]) ** 2 + dphi * dphi
            angle[i, j] = np.sqrt(squared)
            weight = z[i] * z[j]
            out[0] += weight
            out[1] += weight * angle[i, j]
            out[2] += weight * squared
    for i in range(n):
        for j in range(i + 1, n):
            for k in range(j + 1, n):
                weight = z[i] * z[j] * z[k]
                a, b, c = angle[i, j], angle[i, k], angle[j, k]
                smallest, largest, product = min(a, b, c), max(a, b, c), a * b * c
                two = product / largest if largest > 0 else 0.0
                out[3] += weight * product
                out[4] += weight * product * product
                out[5] += weight * smallest
                out[6] += weight * smallest * smallest
                out[7] += weight * two
                out[8] += weight * two * two
    return out


def observables(particles: Floats, correlate: Correlators) -> list[float] | None:
    """The 16 features of a jet in the order of ``FEATURES``; None with fewer than 3 groomed particles."""
    z = particles[:, 3] / particles[:, 3].sum()
    mass, groomed = groom(particles)
    if len(groomed) < 3:
        return None
    px, py, pz, energy = groomed.T
    rapidity = 0.5 * np.log((energy + pz) / (energy - pz))
    e2_0, e2_1, e2_2, e3_1, e3_2, v1_1, v1_2, v2_1, v2_2 = correlate(
        np.hypot(px, py), rapidity, np.arctan2(py, px)
    )
    if not e2_2 > 0:
        return None
    c1 = [e2_0, e2_1, e2_2]
    c2 = [e3_1 / e2_1**2, e3_2 / e2_2**2]
    # The public data hold D2(1,1) twice, as d2_b1 and as d2_a1_b1; so do these.
    d2 = [e3_1 / e2_1**3, e3_2 / e2_2**3, e3_1 / e2_1**3, e3_1 / e2_2**1.5]
    m2 = [v1_1 / e2_1, v1_2 / e2_2]
    n2 = [v2_1 / e2_1**2, v2_2 / e2_2**2]
    return [float((z * np.log(z)).sum()), *c1, *c2, *d2, *m2, *n2, mass, len(particles)]


# Production --------------------------------------------------------------------------------------


def simulate(name: str, n_events: int, seed: int, correlate: Correlators, folder: Path) -> Floats:
    """Features of the jets of `n_events` events, shape (n_jets, 16); the same seed gives the same jets."""
    hard = folder / f"tmp_{name}_{seed}.lhe"
    write_les_houches(hard, name, n_events, seed)
    pythia = make_pythia([f"Beams:LHEF = {hard}", *SHOWER], seed)
    rng = np.random.default_rng(seed)
    rows = []
    while not pythia.infoPython().atEndOfFile():
        if not pythia.next():
            continue
        partons = [(pythia.process[k].eta(), pythia.process[k].phi()) for k in (5, 6)]
        jet = leading_jet(visible_particles(pythia.event, rng), partons)
        features = None if jet is None else observables(jet, correlate)
        if features is not None:
            rows.append(features)
    hard.unlink()
    return np.array(rows).reshape(-1, len(FEATURES))


def run(folder: Path, minutes: float, chunk: int, first: int) -> None:
    """Simulate chunks of all classes in turn until the time is spent; finished chunks are kept."""
    correlate = need("numba").njit(cache=True, fastmath=True)(correlators)
    folder.mkdir(parents=True, exist_ok=True)
    end, number = time.monotonic() + 60 * minutes, first
    while time.monotonic() < end:
        for index, name in enumerate(CLASSES):
            path = folder / f"{name}_{number:04d}.npz"
            if path.exists():
                continue
            start = time.process_time()
            jets = simulate(name, chunk, 10 * number + index + 1, correlate, folder)
            part = path.with_suffix(".part.npz")
            np.savez(part, X=jets)
            part.replace(path)
            print(f"{path.name}: {len(jets)} jets, {time.process_time() - start:.0f} s CPU", flush=True)
        number += 1


def round_digits(x: Floats, digits: int = 6) -> npt.NDArray[np.float32]:
    """Numbers rounded to so many significant decimal digits."""
    with np.errstate(divide="ignore"):
        scale = 10.0 ** (digits - 1 - np.floor(np.log10(np.abs(x))))
    with np.errstate(invalid="ignore"):
        return np.where(x == 0, 0, np.round(x * scale) / scale).astype(np.float32)


def merge(folder: Path, output: Path, per_class_max: int | None) -> None:
    """Join the chunks, the same number of jets of each class, and divide them 80/20."""
    from sklearn.model_selection import train_test_split

    files = {name: sorted(folder.glob(f"{name}_????.npz")) for name in CLASSES}
    for name, found in files.items():
        if not found:
            raise SystemExit(
                f"{folder} holds no chunk of class {name}; run 'simulate_lhc_jets.py run' first."
            )
    jets = [np.concatenate([np.load(file)["X"] for file in files[name]]) for name in CLASSES]
    n = min(len(rows) for rows in jets)
    n = n if per_class_max is None else min(n, per_class_max)
    X = round_digits(np.concatenate([rows[:n] for rows in jets]))
    if not np.isfinite(X).all():
        raise SystemExit("a feature is not finite; remove the chunk that holds it and simulate it again.")
    y = np.repeat(np.arange(len(CLASSES)), n)
    save(output, *train_test_split(X, y, test_size=0.2, stratify=y, random_state=42))


def sample(source: Path, output: Path, train_per_class: int, test_per_class: int) -> None:
    """Keep the first rows of each class of the training and of the test part, in their order."""
    with np.load(source, allow_pickle=False) as arrays:
        X_train, y_train = first_of_each_class(arrays["X_train"], arrays["y_train"], train_per_class)
        X_test, y_test = first_of_each_class(arrays["X_test"], arrays["y_test"], test_per_class)
    save(output, X_train, X_test, y_train, y_test)


def first_of_each_class(X: npt.NDArray[Any], y: npt.NDArray[Any], n: int) -> tuple[Any, Any]:
    """First `n` rows of each class, in their order. The source is shuffled, so they are a fair sample."""
    counts = np.bincount(y, minlength=len(CLASSES))
    if counts.min() < n:
        raise SystemExit(f"{n} rows a class were asked for, the source has {counts.min()} of one class.")
    rows = np.sort(np.concatenate([np.flatnonzero(y == label)[:n] for label in range(len(CLASSES))]))
    return X[rows], y[rows]


def save(
    output: Path, X_train: npt.NDArray[Any], X_test: npt.NDArray[Any], y_train: Any, y_test: Any
) -> None:
    """Write both parts; columns are stored one after another, which compresses best."""
    np.savez_compressed(
        output,
        X_train=np.asfortranarray(X_train),
        X_test=np.asfortranarray(X_test),
        y_train=y_train.astype(np.int8),
        y_test=y_test.astype(np.int8),
        feature_names=np.array(FEATURES),
        class_names=np.array(list(CLASSES)),
    )
    size = output.stat().st_size / 2**20
    print(f"{output}: {len(y_train)} training and {len(y_test)} test jets, {size:.2f} MiB")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="simulate jets into chunks")
    one.add_argument("--folder", type=Path, default=Path("chunks"))
    one.add_argument("--minutes", type=float, default=20.0, help="start no new round after so long")
    one.add_argument("--chunk", type=int, default=1500, help="events a chunk")
    one.add_argument("--first", type=int, default=0, help="number of the first chunk; it sets the seeds")
    two = commands.add_parser("merge", help="join chunks into one file, divided 80/20")
    two.add_argument("--folder", type=Path, default=Path("chunks"))
    two.add_argument("--output", type=Path, default=Path("lhc_jets_pythia.npz"))
    two.add_argument("--per-class-max", type=int)
    three = commands.add_parser("sample", help="cut the embedded sample")
    three.add_argument("--source", type=Path, default=Path("lhc_jets_pythia.npz"))
    three.add_argument("--output", type=Path, default=PACKAGED)
    three.add_argument("--train-per-class", type=int, default=5000)
    three.add_argument("--test-per-class", type=int, default=2000)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run one command."""
    options = vars(parse(arguments))
    commands: dict[str, Callable[..., None]] = {"run": run, "merge": merge, "sample": sample}
    commands[options.pop("command")](**options)


if __name__ == "__main__":
    main()
