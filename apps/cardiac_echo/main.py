"""The MONAI Label app for echo and short-axis MR; it only wires ``lib`` and `cardiolabel` together."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.interfaces.utils.app import apps

from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.models import Models
from cardiolabel.pacs.dicomweb import is_address
from cardiolabel.pacs.mirror import mirror_of
from cardiolabel.pipeline.import_folder import ImportOptions
from cardiolabel.records.layout import ORIGINAL
from cardiolabel.store.database import URL_VARIABLE
from cardiolabel.store.store import LEASE_S
from lib.activelearning.first import First
from lib.activelearning.random import Random
from lib.activelearning.ranked import DESCRIPTIONS, Ranked
from lib.activelearning.scoring import Scoring
from lib.api.install import install
from lib.configs.models import CONFIGS
from lib.datastore.leases import Leases
from lib.datastore.studies_datastore import StudiesDatastore
from lib.files.imports import Imports
from lib.files.sessions import UploadSessions
from lib.files.temporary import clear_abandoned
from lib.infers.batch import Batch
from lib.infers.model_choice import choose_model
from lib.security.audit_entry import note_event
from lib.security.environment import apply_limits, environment
from lib.security.local_accounts import choose_login
from lib.security.roles import Role, require
from lib.server.devices import check_device
from lib.server.engine import Engine
from lib.server.errors import refused
from lib.server.logs import be_discreet
from lib.server.startup import clear_start
from lib.trainers.progress import train_stats

logger = logging.getLogger(__name__)

SETTINGS = {
    # MLflow 3 refuses the file store that monailabel would write to.
    "MONAI_LABEL_TRACKING_ENABLED": False,
    # Otherwise a process of several seconds starts at every next sample.
    "MONAI_LABEL_AUTO_UPDATE_SCORING": False,
}


class CardiacEchoApp(MONAILabelApp):
    """Masks, volumes and ejection fractions of a folder of apical echo and short-axis MR studies."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        with clear_start():
            self._open(app_dir, studies, conf)

    def _open(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        _settle()
        weights = Path(app_dir) / "model"
        if is_address(studies):
            studies = settings.MONAI_LABEL_STUDIES = _fetched(studies, weights)
            # MONAI Label finds its app by the folders in the settings.
            apps[f"{settings.MONAI_LABEL_APP_DIR}{studies}"] = self
        choose_login()
        self.configs = {name: CONFIGS[name] for name in _served_models(conf, weights)}
        self.lease_s = 60 * _minutes(conf.get("lease_minutes", str(LEASE_S / 60)))
        self._models = ModelFolders.of_studies(Path(studies), weights)
        self.engine = Engine(
            Path(studies),
            models=Models((config.source for config in self.configs.values()), self._models),
            database_url=os.environ.get(URL_VARIABLE),
            watch=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )
        self.leases = Leases(
            self.engine.store, lease_s=self.lease_s, at_most=environment().leases_per_annotator
        )
        self.scoring = Scoring(self.engine, conf.get("scoring", "on"))
        self._imports: Imports | None = None
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="Cardiac echo",
            description="Left ventricle in echo and short-axis MR: masks, volumes and ejection fraction",
        )

    def init_datastore(self) -> Datastore:
        """Return the datastore of the studies folder."""
        return StudiesDatastore(self.engine, read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY)

    def init_infers(self) -> dict[str, InferTask]:
        """Return one inference task per model."""
        return {name: config.infer(self.engine) for name, config in self.configs.items()}

    def init_trainers(self) -> dict[str, TrainTask]:
        """Return one training task per model."""
        return {
            name: config.trainer(self.engine, self._base(config.source.shares or name))
            for name, config in self.configs.items()
        }

    def _base(self, model: str) -> Path | None:
        """Return the studies that a model was trained on, if this server may read them."""
        path = self.conf.get(f"base_{model}")
        if path and not Path(path).is_dir():
            raise refused(422, "bad_setting", f"base_{model}: no folder {path}")
        return Path(path) if path else None

    def init_strategies(self) -> dict[str, Strategy]:
        """Return the strategies; clients use the first one by default."""
        store, worklist, lease_s = self.engine.store, self.engine.worklist, self.lease_s
        return {
            **{name: Ranked(name, worklist, store, lease_s=lease_s) for name in DESCRIPTIONS},
            "random": Random(store, lease_s=lease_s),
            "first": First(store, lease_s=lease_s),
        }

    def _load_sessions(self, load: bool = False) -> UploadSessions | None:
        """Return the sessions, in a form that survives damaged ones."""
        path, expiry = settings.MONAI_LABEL_SESSION_PATH, settings.MONAI_LABEL_SESSION_EXPIRY
        return UploadSessions(path, expiry) if load else None

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Predict one image with the requested model or, if that does not segment its view, with one that
        does.

        ``request["image"]`` is the id of an image of this datastore or, for an upload only, a `Path`: JSON
        cannot hold one, so that no client can make the server read its own files.
        """
        if request.get("model") not in self._infers:
            raise refused(
                404, "unknown_model", f"no model {request.get('model')!r}; there are: {_names(self._infers)}"
            )
        if request.get("save_label"):
            require(Role.ANNOTATOR)
        if (request.get("label_tag") or ORIGINAL) != ORIGINAL:
            raise refused(422, "unknown_tag", f"label_tag: a prediction is saved as {ORIGINAL}, nothing else")
        datastore = datastore or self.datastore()
        image = request.get("image")
        stored = not isinstance(image, Path)
        if stored and not datastore.get_image_uri(str(image)):
            raise refused(404, "unknown_image", f"no image {image!r} in this studies folder")
        check_device(request.get("device"))
        sources = {name: task.source for name, task in self._infers.items()}
        model, note = choose_model(request, sources, self.engine)
        file, params = self._infers[model]({**request, "model": model})
        if note:
            params["note"] = note
        label = file
        if stored and request.get("save_label"):
            datastore.save(image, Path(file), ORIGINAL, info={"allow_empty": True}, model=params["model"])
            note_event("prediction saved", str(image))
            label = image
        return {"label": label, "tag": ORIGINAL, "file": file, "params": params}

    def infer_wsi(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Refuse: there are no whole-slide models, and the stock method reads any path."""
        raise refused(404, "unknown_model", "this app has no whole-slide models")

    def batch_infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Predict many images; an unreadable one gets a reason and does not end the batch."""
        require(Role.ADMIN)
        return Batch(self.engine, self.datastore(), request)()

    def train(self, request: dict[str, Any]) -> Any:
        """Retrain a model; requests run this in a process of its own."""
        require(Role.ADMIN)
        return super().train(request)

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Choose the next image to correct; no ``id`` when nothing is left for this annotator.

        ``client_id`` in the request is the annotator.
        """
        require(Role.ANNOTATOR)
        strategy = self._strategies.get(request.get("strategy"))
        if strategy is None:
            message = f"no strategy {request.get('strategy')!r}; there are: {_names(self._strategies)}"
            raise refused(404, "unknown_strategy", message)
        annotator = str(request.get("client_id") or "")
        with self.leases.turn(annotator):
            chosen: dict[str, Any] = strategy(request, self.datastore())
            if "id" not in chosen:
                return chosen
            if again := self.leases.instead_of(chosen["id"], annotator):
                why = f"you have {self.leases.at_most} images already, this one the longest"
                chosen = {"id": again.image_id, "lease": again.as_json(), "why": why}
        return {**self._opened_by_viewers(chosen["id"]), **chosen}

    def _opened_by_viewers(self, image_id: str) -> dict[str, Any]:
        """Return 3D Slicer's data to open an image: from ``path`` if it is there, else by a download."""
        info = self.datastore().get_image_info(image_id)
        try:
            image = self.engine.viewer_images.get(self.engine.studies.record(image_id))
        except OSError as error:
            logger.warning("no viewer's file of an image: %s", error.strerror)
            return {**info, "path": self.datastore().get_image_uri(image_id), "PatientID": image_id}
        # Slicer calls the volume by the PatientID and its download by the name.
        return {
            **info,
            "path": str(image.path),
            "name": image.path.name,
            "checksum": image.checksum,
            "PatientID": image_id,
        }

    def info(self) -> dict[str, Any]:
        """Return MONAI Label's description, with the latest training first."""
        return {**super().info(), "train_stats": train_stats(self._trainers)}

    def on_save_label(self, image_id: str, label_id: str) -> dict[str, Any]:
        """Return the patient's present measurements after MONAI Label's own code saved a label."""
        patient = self.engine.studies.record(image_id).patient
        return {"measurement": self.engine.patients.patient_json(patient, geometry=False)}

    def reload(self) -> None:
        """Import new files, reload the models, and compare the studies folder with its records."""
        require(Role.ADMIN)
        if self._imports:
            self._imports.take()
        self.engine.reload()

    def on_init_complete(self) -> None:
        """Import new files, install the routes, warm up the first model, start scoring; once per server."""
        super().on_init_complete()
        if not settings.MONAI_LABEL_DATASTORE_READ_ONLY:
            self._imports = Imports(self.engine.studies, self._models, self.datastore().images)
            self._imports.take()
        clear_abandoned()
        install()
        self.engine.warm_up()
        self.scoring.start()
        if self._imports and settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD:
            self._imports.watch()


def _settle() -> None:
    """Set this app's defaults where neither the environment nor ``.env`` does."""
    be_discreet()
    apply_limits()
    for name, value in SETTINGS.items():
        if name not in settings.model_fields_set:
            setattr(settings, name, value)
            os.environ[name] = str(value)  # for the processes that train and batch start


def _fetched(url: str, weights: Path) -> str:
    """Return the studies folder that follows a PACS, with what is there now, in place of the address."""
    mirror = mirror_of(url)
    mirror.take(ImportOptions(ModelFolders.of_studies(mirror.folder, weights)))
    return str(mirror.folder)


def _served_models(conf: dict[str, str], weights: Path) -> list[str]:
    """Return the names in the setting ``models``, else all of them: an unused model costs nothing."""
    if "models" not in conf:
        return [
            name
            for name, config in CONFIGS.items()
            if not config.optional or (weights / f"{name}.safetensors").is_file()
        ]
    names = [name.strip() for name in conf["models"].split(",") if name.strip()]
    unknown = [name for name in names if name not in CONFIGS]
    if unknown or not names:
        raise refused(
            404, "unknown_model", f"no model {', '.join(unknown) or 'given'}; there are: {_names(CONFIGS)}"
        )
    return names


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0
    if not 0 < minutes <= 7 * 24 * 60:
        raise refused(422, "bad_setting", f"lease_minutes {text!r}: expected minutes, at most a week")
    return minutes


def _names(names: dict[str, Any]) -> str:
    return ", ".join(names) or "none"
