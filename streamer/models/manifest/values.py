"""Values that several sections of `model.yaml` hold."""

from typing import Annotated, Literal

from pydantic import Field

Dtype = Literal["float32", "float16", "uint8", "int8", "int32", "int64"]
Positive = Annotated[int, Field(gt=0)]
