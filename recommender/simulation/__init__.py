"""Simulation: users with known tastes and position bias, who click on what a service shows them."""

from recommender.simulation.book import SimulationBook
from recommender.simulation.click_model import PositionBasedModel
from recommender.simulation.simulator import Simulator, Visit
from recommender.simulation.tastes import Tastes

__all__ = ["PositionBasedModel", "SimulationBook", "Simulator", "Tastes", "Visit"]
