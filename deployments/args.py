"""The arguments of serve_config.yaml."""

import os
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deployments.env_secrets import secret
from recommender.models.feedback import Feedback
from recommender.stores.embedded_valkey import START_TIMEOUT_S
from recommender.stores.redis_store import MAX_BACKLOG
from recommender.training.full import ModelSettings
from recommender.training.incremental import IncrementSettings
from recommender.training.index_builder import APPROXIMATE_ABOVE
from recommender.training.schedule import Schedule

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seconds = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(allow_inf_nan=False)]

_DEFAULTS, _INCREMENT, _SCHEDULE = ModelSettings(), IncrementSettings(), Schedule()


class _Strict(BaseModel):
    # a misspelt key is an error, not a default; frozen, because replicas share what they are given
    # what was given is not repeated in an error: it may be a URL with a password
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), hide_input_in_errors=True)


class ModelArgs(_Strict):
    """How the model is built; see `recommender.training.full.ModelSettings`."""

    no_components: Positive = _DEFAULTS.no_components
    loss: Literal["warp", "bpr", "warp-kos", "logistic"] = "warp"
    indicators: Literal["users", "items", "both", False] = _DEFAULTS.indicators
    learning_rate: Annotated[float, Field(gt=0)] = _DEFAULTS.learning_rate
    learning_schedule: Literal["adagrad", "adadelta"] = "adagrad"
    epochs: Positive = _DEFAULTS.epochs
    min_steps: Annotated[int, Field(ge=0)] = _DEFAULTS.min_steps
    """Small data is gone over more often, until so many interactions have been shown; 0: exactly `epochs`."""
    max_sampled: Positive = _DEFAULTS.max_sampled
    user_alpha: Annotated[float, Field(ge=0)] = _DEFAULTS.user_alpha
    item_alpha: Annotated[float, Field(ge=0)] = _DEFAULTS.item_alpha
    normalise: bool = _DEFAULTS.normalise
    seed: int = _DEFAULTS.seed
    num_threads: Positive = _DEFAULTS.num_threads
    use_weights: bool = _DEFAULTS.use_weights
    """Interactions count in training by their weight; so they do where `TrainingArgs.event_weights` are given."""
    rare_features: Annotated[int, Field(ge=0)] = _DEFAULTS.rare_features
    """Categories that only one user or item has, of which so many are learned; those that two have all are."""
    history_components: Annotated[int, Field(ge=0)] = _DEFAULTS.history_components
    """Components of whole histories that stand behind LightFM's; 0 for none."""
    history_weight: Annotated[float, Field(ge=0)] = _DEFAULTS.history_weight
    """How far these spread the scores of a user, as a share of LightFM's."""
    newcomer_quantile: Annotated[float, Field(ge=0, le=1)] = _DEFAULTS.newcomer_quantile
    """Advance of items that nobody has interacted with; 0.5 is none to speak of."""

    def settings(self) -> ModelSettings:
        """These, as the library takes them."""
        return ModelSettings(**self.model_dump())


class TrainingArgs(_Strict):
    """When the model is trained, how it is judged and what is kept."""

    incremental_every_s: Seconds | None = _SCHEDULE.incremental_every_s
    """Go on with what is new this often, when there is enough of it; None: only when asked."""
    full_every_s: Seconds | None = _SCHEDULE.full_every_s
    """Train from the beginning this often, when there is enough to learn; None: only when asked."""
    min_interactions: Positive = _SCHEDULE.min_interactions
    """How many interactions must be new for a scheduled training."""
    changed_items: Positive = _SCHEDULE.changed_items
    """How many items must have changed for an incremental training without them."""
    incremental_epochs: Positive = _INCREMENT.epochs
    """Passes over what is new."""
    replay: Annotated[float, Field(ge=0)] = _INCREMENT.replay
    """Interactions of the past that are trained again in each increment, as a share of the new ones."""
    margin: Annotated[float, Field(ge=0)] = 0.01
    """How much worse in ndcg@10 than the version that serves a new one may be."""
    holdout: Share = 0.1
    """Share of the newest interactions that judge a model."""
    keep_versions: Positive = 5
    """Versions kept on disk for a rollback."""
    event_weights: dict[str, Weight] = {}
    """By event, what the weight of an interaction is multiplied by: ``{view: 0.3, purchase: 1.0, hide: -1}``; 1 for
    events that are not named. 0 says nothing of liking, less speaks against it."""
    negative_below: float | None = None
    """Ratings (interactions without an event, or with the event ``rating``) below this speak against an item."""
    approximate_above: Positive | None = APPROXIMATE_ABOVE
    """Items from which on search is approximate, at a measured recall of 0.99 or more; None: always exact."""

    def schedule(self) -> Schedule:
        """The clocks, as the library takes them."""
        return Schedule(self.incremental_every_s, self.full_every_s, self.min_interactions, self.changed_items)

    def feedback(self) -> Feedback:
        """How interactions are read, as the library takes it."""
        return Feedback(self.event_weights, self.negative_below)


class StoreArgs(_Strict):
    """The embedded store; a server behind a URL has its own configuration."""

    max_memory_bytes: Positive | None = None
    """At which it refuses writes; None: a quarter of the memory of the machine, or of what the container may use."""
    start_timeout_s: Seconds = START_TIMEOUT_S
    """How long it may take to answer, or to get on with loading what is on disk."""


class AppArgs(_Strict):
    """Everything under ``args:`` in serve_config.yaml.

    The environment overrides three of them: ``RECOMMENDER_DATASET``, ``RECOMMENDER_REDIS_URL`` (or a file with
    it, ``RECOMMENDER_REDIS_URL_FILE``) and ``RECOMMENDER_STATE_DIR``.
    """

    dataset: str = "movielens-100k"
    """Bootstraps an empty `state_dir`: ``movielens-100k``, ``synthetic``, a folder, or ``none``."""
    redis_url: Annotated[str, Field(repr=False)] = "embedded"
    """``embedded``, ``redis://…``, ``rediss://…`` or ``unix://…``; one with a password belongs in a file."""
    state_dir: str = ".recommender"
    """Archive and model registry, with ``redis_url: embedded`` the interaction log too: a folder (on several nodes one
    that all of them see), or an fsspec URL such as ``s3://bucket/folder``."""
    max_backlog: Positive = MAX_BACKLOG
    """Interactions in the log, those that wait to be learned and those that were learned last, beyond which more are
    refused with 503; a hundred bytes or two each in the store. Under a pinned version half as many are kept for it."""
    explore: Share = 0.0
    """Share of the positions of each list for items that nobody has interacted with; answers mark them."""
    catalogue_wait_s: Seconds = 1.0
    """How long a request waits for changes of the catalogue that it should show, as after an upsert of very many items;
    then the answer is of an older catalogue and says ``degraded: ["catalogue"]``."""
    model: ModelArgs = ModelArgs()
    training: TrainingArgs = TrainingArgs()
    store: StoreArgs = StoreArgs()

    def increment(self) -> IncrementSettings:
        """How a model goes on, as the library takes it."""
        return IncrementSettings(
            self.training.incremental_epochs,
            self.training.replay,
            self.model.num_threads,
            self.settings().use_weights,
            self.model.settings().settling,
        )

    def settings(self) -> ModelSettings:
        """How the model is built, as the library takes it."""
        settings = self.model.settings()
        return replace(settings, use_weights=settings.use_weights or bool(self.training.event_weights))

    def with_environment(self) -> "AppArgs":
        """These, with what the environment overrides."""
        names = {name: os.environ.get(f"RECOMMENDER_{name.upper()}") for name in ("dataset", "state_dir")}
        names["redis_url"] = secret("RECOMMENDER_REDIS_URL")
        return self.model_copy(update={name: value for name, value in names.items() if value})
