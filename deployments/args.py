"""Configuration: the arguments that serve_config.yaml may set, with their defaults and checks."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deployments.env_secrets import SIGNING_KEY, required_keys, secret
from recommender.exposures.attribution import WINDOW_S
from recommender.models.feedback import Feedback
from recommender.stores.embedded_valkey import START_TIMEOUT_S
from recommender.stores.redis_store import MAX_BACKLOG
from recommender.training.admission import FeatureAdmission
from recommender.training.canary import CanarySettings
from recommender.training.forgetting import ForgetSettings
from recommender.training.history_tuning import HistorySettings
from recommender.training.incremental import IncrementSettings
from recommender.training.index_builder import APPROXIMATE_ABOVE
from recommender.training.model_settings import ModelSettings
from recommender.training.schedule import Schedule

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seconds = Annotated[float, Field(gt=0)]
Days = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(allow_inf_nan=False)]

_DEFAULTS, _INCREMENT, _SCHEDULE, _HISTORY = ModelSettings(), IncrementSettings(), Schedule(), HistorySettings()
_REMOVED = frozenset({"history_components", "history_weight"})


class _Strict(BaseModel):
    # a misspelt key is an error, not a default; frozen, because replicas share what they are given
    # what was given is not repeated in an error: it may be a URL with a password
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), hide_input_in_errors=True)


class ModelArgs(_Strict):
    """How the model is built; see `recommender.training.model_settings.ModelSettings`."""

    no_components: Positive = _DEFAULTS.no_components
    """Width of LightFM's embeddings."""
    loss: Literal["warp", "bpr", "warp-kos", "logistic"] = "warp"
    """LightFM's loss."""
    indicators: Literal["users", "items", "both", False] = _DEFAULTS.indicators
    """Sides that have an indicator, an embedding of each single user or item, besides their features."""
    learning_rate: Annotated[float, Field(gt=0)] = _DEFAULTS.learning_rate
    """Initial learning rate."""
    learning_schedule: Literal["adagrad", "adadelta"] = "adagrad"
    """How the learning rate adapts."""
    epochs: Positive = _DEFAULTS.epochs
    """Passes over the interactions in a full training, at most."""
    early_stopping: bool = _DEFAULTS.early_stopping
    """With 500,000 interactions or more, epochs end where held-out interactions are not ranked better any more; false:
    always all."""
    min_steps: Annotated[int, Field(ge=0)] = _DEFAULTS.min_steps
    """More epochs for small data, until so many interactions have been shown; 0: exactly `epochs`."""
    max_sampled: Positive = _DEFAULTS.max_sampled
    """Negative items that WARP samples at most for one update."""
    user_alpha: Annotated[float, Field(ge=0)] = _DEFAULTS.user_alpha
    """L2 penalty of user embeddings."""
    item_alpha: Annotated[float, Field(ge=0)] = _DEFAULTS.item_alpha
    """L2 penalty of item embeddings."""
    normalise: bool = _DEFAULTS.normalise
    """Divide the weights of an entity's features by their sum. Better with dozens of features each, worse for items
    that have only features."""
    seed: int = _DEFAULTS.seed
    """Seed of the training. With one thread a training repeats to the bit."""
    num_threads: Positive = _DEFAULTS.num_threads
    """Threads of a training."""
    use_weights: bool = _DEFAULTS.use_weights
    """Interactions count in training by their weight; so they do where `training.event_weights` is set. Not with
    `warp-kos`."""
    rare_features: Annotated[int, Field(ge=0)] = _DEFAULTS.rare_features
    """How many categories that a single user or item has are learned; categories of two or more always are."""
    fit_with: Literal["compiled", "lightfm"] = _DEFAULTS.fit_with
    """Loop that trains: this package's, or LightFM's own, which is several times slower and learns the same."""
    item_item: bool = _HISTORY.enabled
    """Item-item matrix and low-pass filter: what interactions of a history add to a score, beside LightFM's part."""
    low_pass: Annotated[int, Field(ge=0)] = _HISTORY.low_pass
    """Components of the low-pass filter, at most; 0 for none."""
    item_item_mib: Positive = _HISTORY.item_item_mib
    """Memory for fitting the item-item matrix, beside the interactions and the matrix itself."""
    newcomer_quantile: Annotated[float, Field(ge=0, le=1)] | None = _DEFAULTS.newcomer_quantile
    """How strongly items without interactions are promoted: 0.5 is neutral; null: by how many of them are news."""

    def settings(self) -> ModelSettings:
        """These, as the library takes them."""
        given = self.model_dump()
        enabled, low_pass, mib = (given.pop(name) for name in ("item_item", "low_pass", "item_item_mib"))
        return ModelSettings(**given, history=HistorySettings(enabled, low_pass, item_item_mib=mib))

    @model_validator(mode="before")
    @classmethod
    def _without_removed(cls, given: Any) -> Any:
        """Names what took the place of keys that were removed."""
        removed = _REMOVED.intersection(given) if isinstance(given, Mapping) else ()
        if removed:
            raise ValueError(
                f"{' and '.join(sorted(removed))}: removed; item_item and low_pass took their place, and how much each"
                " counts is learned at training: remove the key, or set item_item: false for LightFM alone"
            )
        return given


class ForgetArgs(_Strict):
    """What a full training forgets; see `recommender.training.forgetting.ForgetSettings`."""

    users_idle_days: Days | None = None
    """Days without an interaction after which a user is forgotten: their interactions, and their features where these
    have not changed for as long; null: never."""
    items_gone_days: Days | None = None
    """Days since an item was made unavailable (one that was never put: since the last interaction with it) after which
    it is forgotten; null: never. Deleted items are forgotten by the next full training in any case."""
    interactions_older_than_days: Days | None = None
    """Age in days, by its timestamp, at which an interaction is forgotten; null: never."""

    def settings(self) -> ForgetSettings:
        """These, as the library takes them."""
        return ForgetSettings(**self.model_dump())


class AdmissionArgs(_Strict):
    """Which categories get a row; see `recommender.training.admission.FeatureAdmission`."""

    min_interactions: Positive = 1
    """Interactions that the users, or the items, with a category must have in all before it is learned; an increment
    counts its own."""
    max_columns: Positive | None = None
    """A category is learned only where it is among so many of some user or item, those with the most interactions
    first; null: any number."""

    def settings(self) -> FeatureAdmission:
        """These, as the library takes them."""
        return FeatureAdmission(**self.model_dump())


_CANARY = CanarySettings()


class CanaryArgs(_Strict):
    """How a version that a full training made is tried on a share of the users before it serves all of them."""

    share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the users who are answered by it, as 0.05; 0: a version that the gate accepts serves all at once."""
    metric: Annotated[str, Field(pattern="^.+_rate$")] = _CANARY.metric
    """Name of an event and ``_rate``: the share of exposures that such an interaction is attributed to."""
    min_exposures: Positive = _CANARY.min_exposures
    """Exposures of the canary from which on anything is decided."""
    worse_by: Annotated[float, Field(gt=0, lt=1)] = _CANARY.worse_by
    """How much worse it may be, as a share of the metric of the active version."""
    at_most_s: Seconds = _CANARY.at_most_s
    """Seconds after which it is promoted, where it is not worse beyond doubt."""

    def settings(self) -> CanarySettings | None:
        """As the library takes it; None where no version is tried."""
        if not self.share:
            return None
        return CanarySettings(self.share, self.metric, self.min_exposures, self.worse_by, self.at_most_s)


class MlflowArgs(_Strict):
    """Where each version is logged as a run of MLflow; see `deployments.mlflow_runs`."""

    tracking_uri: Annotated[str | None, Field(repr=False)] = None
    """MLflow's tracking server, as ``https://mlflow.example.com``, or whatever else MLflow takes; null: no runs. Its
    credentials belong into MLflow's own variables, such as ``MLFLOW_TRACKING_TOKEN``."""
    experiment: Annotated[str, Field(min_length=1)] = "lightfm-serve"
    """Experiment of the runs; made where it is missing."""
    increments: bool = True
    """Versions of incremental trainings have a run too; false: only those of full ones."""
    artifacts_up_to_mib: Annotated[int, Field(ge=0)] = 100
    """Versions up to so many MiB are uploaded as the run's artifact; a larger one, and one that lies in a bucket, has
    its manifest there, and its place as a tag."""


class TrainingArgs(_Strict):
    """When the model is trained, how it is judged and what is kept."""

    incremental_every_s: Seconds | None = _SCHEDULE.incremental_every_s
    """Seconds between incremental trainings, which happen when enough is new; null: only when asked for."""
    full_every_s: Seconds | None = _SCHEDULE.full_every_s
    """Seconds between full trainings; null: only when asked for."""
    min_interactions: Positive = _SCHEDULE.min_interactions
    """New interactions that a scheduled training needs."""
    changed_items: Positive = _SCHEDULE.changed_items
    """Changed items that make an incremental training due without new interactions."""
    incremental_epochs: Positive = _INCREMENT.epochs
    """Passes over the new interactions in an incremental training."""
    replay: Annotated[float, Field(ge=0)] = _INCREMENT.replay
    """Old interactions that an incremental training repeats, as a share of the new ones."""
    margin: Annotated[float, Field(ge=0)] = 0.01
    """How much worse in ndcg@10 than the active version a new version may be."""
    holdout: Share = 0.1
    """Share of the newest interactions that is held out to evaluate a version."""
    tune_s: Annotated[float, Field(ge=0)] = _HISTORY.tune_s
    """Processor seconds for tuning the item-item matrix, at the first full training and when the data has doubled, and
    half as many for implicit ALS."""
    holdout_kind: Literal["auto", "last", "random"] = _HISTORY.holdout_kind
    """What teaches how much each part counts: each user's newest interactions, or any; ``auto``: by whether timestamps
    tell an order."""
    keep_versions: Positive = 5
    """Versions that are kept for a rollback."""
    event_weights: dict[str, Weight] = {}
    """Factor of an interaction's weight by its event, as in ``{view: 0.3, purchase: 1.0, hide: -1}``; 1 for events
    that are not named. 0: no liking; below 0: a dislike."""
    negative_below: float | None = None
    """Ratings (interactions without an event, or with the event ``rating``) below this are dislikes: never
    recommended, and learned as such."""
    approximate_above: Positive | None = APPROXIMATE_ABOVE
    """Items above which search is approximate, with a measured recall@100 of at least 0.99; null: always exact."""

    canary: CanaryArgs = CanaryArgs()
    """How versions of full trainings are tried on a share of the users first; not at all by default."""
    admission: AdmissionArgs = AdmissionArgs()
    """Which categories of features get a row of the model."""
    forget: ForgetArgs = ForgetArgs()
    """What a full training forgets, so that what is kept has a bound; nothing by default."""
    mlflow: MlflowArgs = MlflowArgs()
    """Where versions are logged as runs; nowhere by default."""

    def schedule(self) -> Schedule:
        """The clocks, as the library takes them."""
        return Schedule(self.incremental_every_s, self.full_every_s, self.min_interactions, self.changed_items)

    def feedback(self) -> Feedback:
        """How interactions are read, as the library takes it."""
        return Feedback(self.event_weights, self.negative_below)


class StoreArgs(_Strict):
    """The embedded store; a server behind a URL has its own configuration."""

    max_memory_bytes: Positive | None = None
    """Memory at which it refuses writes; null: a quarter of the machine's, or of the container's limit."""
    start_timeout_s: Seconds = START_TIMEOUT_S
    """Seconds that it may take to answer, or to make progress in loading its file."""


class ExposureArgs(_Strict):
    """What was shown: how long it is kept, and what is attributed to it."""

    keep_days: Annotated[float, Field(gt=0, le=3650)] = 30.0
    """Days that exposures, and the figures made of them, are kept."""
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the users whose exposures are kept, all of a user's or none; 0: none are logged."""
    window_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = WINDOW_S
    """Seconds before an interaction in which an exposure may have been for the interaction to be attributed to it,
    where it names none."""


class AppArgs(_Strict):
    """Everything under ``args:`` in serve_config.yaml.

    The environment overrides four of them: ``RECOMMENDER_DATASET``, ``RECOMMENDER_REDIS_URL`` (or a file with
    it, ``RECOMMENDER_REDIS_URL_FILE``), ``RECOMMENDER_STATE_DIR`` and ``RECOMMENDER_REQUIRE_SIGNED`` (files, with
    ``:`` between them).
    """

    dataset: str = "movielens-100k"
    """Fills an empty `state_dir` and nothing else: ``movielens-100k``, ``synthetic``, a folder, or ``none``."""
    redis_url: Annotated[str, Field(repr=False)] = "embedded"
    """``embedded``, or ``redis://…``, ``rediss://…``, ``unix://…``, ``redis+sentinel://host:26379,host/service``. A
    URL with a password belongs in a file: ``RECOMMENDER_REDIS_URL_FILE``."""
    state_dir: str = ".recommender"
    """Models, archive of learned interactions, and the embedded store: a folder (on several nodes one that all of them
    see), or an fsspec URL such as ``s3://bucket/folder``."""
    require_signed: tuple[str, ...] = ()
    """Public keys, each a file or its PEM text: versions that none of them has signed are not loaded. Versions that are
    trained are signed with ``RECOMMENDER_SIGNING_KEY_FILE``. Empty: any version is loaded."""
    max_backlog: Positive = MAX_BACKLOG
    """Interactions in the log above which more are refused with 503; each takes 100 to 200 bytes of the store. Half as
    many are kept for a pinned version."""
    explore: Share = 0.0
    """Share of the positions of each list for items that have to be found out about: those without interactions, and
    those whose trial of 100 exposures is under way. Answers mark them ``explored``, with their ``propensity``."""
    catalogue_wait_s: Seconds = 1.0
    """Seconds that a request waits for changes of the catalogue, as after an upsert of very many items; then it is
    answered from the older catalogue and says ``degraded: ["catalogue"]``."""
    near: Literal["auto", "always", "never"] = "auto"
    """Which requests the process that took them answers itself. ``auto``: those whose work costs less than the way to
    FeatureFetcher and Predictor, as long as it has not too much of them; ``always``: all that need neither the end of
    the log nor an index; ``never``: none."""
    model: ModelArgs = ModelArgs()
    """How the model is built."""
    training: TrainingArgs = TrainingArgs()
    """When it is trained, and how it is evaluated."""
    exposures: ExposureArgs = ExposureArgs()
    """What was shown."""
    store: StoreArgs = StoreArgs()
    """The embedded store."""

    def increment(self) -> IncrementSettings:
        """How a model goes on, as the library takes it."""
        return IncrementSettings(
            self.training.incremental_epochs,
            self.training.replay,
            self.model.num_threads,
            self.settings().use_weights,
            self.model.settings().settling,
            admission=self.training.admission.settings(),
        )

    def settings(self) -> ModelSettings:
        """How the model is built, as the library takes it."""
        settings = self.model.settings()
        training = self.training
        history = replace(settings.history, tune_s=training.tune_s, holdout_kind=training.holdout_kind)
        use_weights = settings.use_weights or bool(training.event_weights)
        return replace(settings, use_weights=use_weights, history=history, admission=training.admission.settings())

    def with_environment(self) -> "AppArgs":
        """These, with what the environment overrides."""
        names = {name: os.environ.get(f"RECOMMENDER_{name.upper()}") for name in ("dataset", "state_dir")}
        names["redis_url"] = secret("RECOMMENDER_REDIS_URL")
        given: dict[str, Any] = {name: value for name, value in names.items() if value}
        if keys := required_keys():
            given["require_signed"] = keys
        return self.model_copy(update=given)

    @staticmethod
    def signing_key() -> str:
        """PEM of the key that signs versions, of the environment; empty where there is none."""
        return secret(SIGNING_KEY)
