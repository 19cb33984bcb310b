"""The pictures in the records that predictions speak of."""

import base64
import binascii
import json

from streamer.config.topology import Fields, Images, Limits
from streamer.decode.picture import decode_image
from streamer.errors import DecodeError
from streamer.records import Image, Record


def picture_of(record: Record) -> Image:
    """Decode the picture in a record: encoded as it is, or base64 in a JSON object.

    Raises:
        DecodeError: there is none.
    """
    value = record.value or b""
    if value.lstrip()[:1] == b"{":
        try:
            value = base64.b64decode(json.loads(value)[Fields().image], validate=False)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            message = "a JSON object without a picture in base64"
            raise DecodeError(message, reason="not-an-image") from error
    return decode_image(value, Images(truncated="allow"), Limits())
