"""What a run will cost, before it is paid for: laws, sizes, kernels and prices. No run is made here."""

from mining.forecast.estimate import Estimate, Line, Price, Simulation, priced
from mining.forecast.fleet import Fleet, Grid, play, undisturbed
from mining.forecast.kernels import Kernel, measure_kernels
from mining.forecast.laws import Law, fit, fit_units
from mining.forecast.render import render
from mining.forecast.sizes import Pool, TaskSize, dataset_bytes, tile_bytes
from mining.forecast.workers import hours_on

__all__ = [
    "Estimate",
    "Fleet",
    "Grid",
    "Kernel",
    "Law",
    "Line",
    "Pool",
    "Price",
    "Simulation",
    "TaskSize",
    "dataset_bytes",
    "fit",
    "fit_units",
    "hours_on",
    "measure_kernels",
    "play",
    "priced",
    "render",
    "tile_bytes",
    "undisturbed",
]
