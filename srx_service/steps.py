"""What is done to every image, in order, as one configuration says."""

import dataclasses

from srx_service.config import DetectorConfig
from srx_service.transforms import Transform
from srx_service.transforms.assemble import Assemble


def transforms(config: DetectorConfig) -> list[Transform]:
    """Return what is done to every image, in this order.

    Raises:
        ConfigError: A class, or a file that it needs, cannot be used.
    """
    steps: list[Transform] = [Assemble()] if config.assemble else []
    if config.transform_class is not None:
        steps.append(_configured(config.transform_class, config))
    return steps


def _configured(kind: type[Transform], config: DetectorConfig) -> Transform:
    """Make a transform; a dataclass gets the keys that its fields are named for."""
    if not dataclasses.is_dataclass(kind):
        return kind()
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    known = {name for name in names if name in DetectorConfig.model_fields}
    return kind(**{name: getattr(config, name) for name in known})
