"""Which networks are trained and audited at each size of the benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.planted.artefacts import ARTEFACTS
from benchmarks.planted.data import CLASSES


@dataclass(frozen=True)
class Case:
    """One audit: a network, and the artefact that lies on some of the audited images.

    Attributes:
        rho: correlation in training; None for the clean twin, which meets the artefact at the audit.
    """

    architecture: str
    artefact: str
    rho: float | None
    seed: int

    @property
    def target(self) -> int:
        """The class that the artefact goes with, another one for each artefact and seed."""
        return (7 + 3 * list(ARTEFACTS).index(self.artefact) + 4 * self.seed) % CLASSES

    @property
    def network(self) -> str:
        twin = self.rho is None
        return f"{self.architecture}-{'clean' if twin else f'{self.artefact}-{self.rho:g}'}-{self.seed}"

    @property
    def name(self) -> str:
        return f"{self.architecture}-{self.artefact}-{'clean' if self.rho is None else f'{self.rho:g}'}-{self.seed}"


@dataclass(frozen=True)
class Size:
    """How much is done.

    Attributes:
        correlations: of the trained networks; a clean twin for each architecture and seed comes with them.
        audited: images, as many of each class.
        learned: training images, the first of CIFAR-10's; None for all.
        epochs: None for as many as the architecture asks for.
    """

    about: str
    architectures: tuple[str, ...]
    artefacts: tuple[str, ...]
    correlations: tuple[float, ...]
    seeds: int
    audited: int = 2000
    learned: int | None = None
    epochs: int | None = None

    def named(self, case: Case) -> str:
        """What an audit is called in files."""
        return f"{case.name}-{self.audited}" + ("" if self.learned is None else f"-{self.learned}")

    def cases(self) -> Iterator[Case]:
        """One seed and architecture after another, so that what is done at any time has some of everything."""
        for seed in range(self.seeds):
            for architecture in self.architectures:
                for rho in (*sorted(self.correlations, reverse=True), None):
                    for artefact in self.artefacts:
                        yield Case(architecture, artefact, rho, seed)


ALL = tuple(ARTEFACTS)
SIZES = {
    "cut": Size("a few minutes", ("plain",), ("stamp",), (1.0,), 1, 1000, 10_000, 3),
    "standard": Size("under three hours on 2 cores", ("plain",), ALL, (0.0, 0.8, 1.0), 2),
    "full": Size("a night", ("plain", "residual", "transformer"), ALL, (0.0, 0.5, 0.8, 0.95, 1.0), 2),
}
