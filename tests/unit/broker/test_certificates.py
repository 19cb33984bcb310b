from datetime import UTC, datetime, timedelta

import pytest
from support import pki

from streamer.broker.certificates import certificates, ends, ends_or_nan
from streamer.config.settings import KafkaSettings


@pytest.mark.parametrize("year", [2027, 2049, 2050, 2101])
def test_the_end_is_read_as_openssl_reads_it(tmp_path, year):
    authority = pki.Authority(ends=datetime(year, 3, 4, 5, 6, 7, tzinfo=UTC))
    file = authority.write(tmp_path / "ca.pem")
    assert ends(file) == datetime(year, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()


def test_of_several_certificates_the_first_to_end_counts(tmp_path):
    soon, late = (datetime.now(UTC).replace(microsecond=0) + timedelta(days=d) for d in (3, 300))
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(pki.Authority(ends=late).pem + pki.Authority(ends=soon).pem)
    assert ends(bundle) == soon.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_has_no_end(tmp_path, text):
    file = tmp_path / "ca.pem"
    file.write_bytes(text)
    with pytest.raises(ValueError, match="no certificate"):
        ends(file)
    assert ends_or_nan(file) != ends_or_nan(file)
    assert ends_or_nan(tmp_path / "missing.pem") != ends_or_nan(tmp_path / "missing.pem")


def test_a_renewed_file_has_its_new_end(tmp_path):
    soon, late = (datetime(year, 1, 1, tzinfo=UTC) for year in (2027, 2030))
    file = pki.Authority(ends=soon).write(tmp_path / "ca.pem")
    kafka = KafkaSettings(security_protocol="SSL", ssl_cafile=file)
    [(name, told)] = certificates(kafka).items()
    assert (name, told()) == ("ca", soon.timestamp())
    pki.Authority(ends=late).write(file)
    assert told() == late.timestamp()
