"""Report: a comparison as one HTML page that needs nothing else. Needs the extra ``evaluation``."""

from recommender.experiments.report.page import html

__all__ = ["html"]
