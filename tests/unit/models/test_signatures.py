"""Signatures count if a trusted key made them, and only for what was signed."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from everfit.blocks.releasing import ReleasePolicy
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.chain_signatures import check_signatures, sign_release
from everfit.tasks.models.signatures import (
    KeyFileError,
    check_can_sign,
    new_key,
    public_key,
    read_signers,
    read_signing_key,
    signature_by,
    version_message,
    why_not_signed,
)

VERSION = ModelVersion(model="flights", version=1, run_id="run", trained_until=datetime(2013, 3, 1, tzinfo=UTC))
FILES = {"model/model.skops": "a" * 64}


def test_a_signature_counts_for_its_text_by_a_trusted_key(tmp_path: Path) -> None:
    public, other = new_key(tmp_path / "key.pem"), new_key(tmp_path / "other.pem")
    (tmp_path / "signers.txt").write_text(f"# people\n{public} ann of the team\n")
    signers, message = {"the file": read_signers(str(tmp_path / "signers.txt"))}, version_message(VERSION, FILES)
    signature = signature_by(read_signing_key(SecretStr(str(tmp_path / "key.pem"))), message)

    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert signers == {"the file": {public: "ann of the team"}}
    assert why_not_signed(signature, message, signers) == ""
    changed = version_message(VERSION, {"model/model.skops": "b" * 64})
    assert why_not_signed(signature, changed, signers) == "the signature of 'ann of the team' is of something else"
    others = signers | {"the spec": {other: "eve"}}
    assert "not among the signers of the spec" in why_not_signed(signature, message, others)
    assert why_not_signed(None, message, {}) == ""  # nobody asks for one
    assert why_not_signed(None, message, signers) == "it has no signature"
    assert "is of something else" in why_not_signed(f"{public}:nonsense", message, signers)


def test_files_of_keys_that_cannot_be_read_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nobody\n")
    (tmp_path / "odd.txt").write_text("ssh-ed25519 AAAA ann\n")
    new_key(tmp_path / "key.pem")

    with pytest.raises(KeyFileError, match="has no key, so nothing could be verified"):
        read_signers(str(tmp_path / "empty.txt"))
    with pytest.raises(KeyFileError, match="has the line 'ssh-ed25519 AAAA ann'"):
        read_signers(str(tmp_path / "odd.txt"))
    for path in ("none.pem", "odd.txt"):
        with pytest.raises(KeyFileError, match="make one by `everfit keys FILE`"):
            read_signing_key(SecretStr(str(tmp_path / path)))
    with pytest.raises(KeyFileError, match="can't be written"):
        new_key(tmp_path / "key.pem")


def test_a_key_is_a_file_a_block_or_the_pem_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public = new_key(tmp_path / "key.pem")
    pem = (tmp_path / "key.pem").read_text()
    for given in (str(tmp_path / "key.pem"), pem, pem.replace("\n", "\\n")):
        monkeypatch.setenv("EVERFIT_SIGNING_KEY", given)
        settings = Settings()
        assert settings.signing_key is not None
        assert public_key(read_signing_key(settings.signing_key)) == public
        assert pem[40:60] not in repr(settings)

    broken = pem.replace(pem[40:60], "A" * 20 + "!")
    with pytest.raises(KeyFileError, match="the signing key in EVERFIT_SIGNING_KEY can't be read") as error:
        read_signing_key(SecretStr(broken))
    assert pem[70:90] not in str(error.value)


def test_what_nobody_could_load_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = new_key(tmp_path / "key.pem"), new_key(tmp_path / "other.pem")
    check_can_sign(Settings(), (), "flights")
    with pytest.raises(KeyFileError, match=r"release.signers in the spec wants .* bob .* EVERFIT_SIGNING_KEY is not s"):
        check_can_sign(Settings(), (f"{other} bob",), "flights")

    monkeypatch.setenv("EVERFIT_SIGNING_KEY", str(tmp_path / "key.pem"))
    check_can_sign(Settings(), (f"{other} bob", f"{ours} ann"), "flights")
    with pytest.raises(KeyFileError, match="the key of EVERFIT_SIGNING_KEY is 'ed25519:"):
        check_can_sign(Settings(), (f"{other} bob",), "flights")


def test_a_signer_in_a_spec_is_a_public_key(tmp_path: Path) -> None:
    public = new_key(tmp_path / "key.pem")
    assert ReleasePolicy(signers=(f"{public} ann",)).signers == (f"{public} ann",)
    assert "signers" not in ReleasePolicy().model_dump()  # so the digests of earlier specs stay
    for odd in ("ann", public[:-3], f"{public}ann"):
        with pytest.raises(ValueError, match="is not a public key with its owner's name"):
            ReleasePolicy(signers=(odd,))


def test_a_release_is_signed_with_all_rows_before_it(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def release(version: int) -> None:
        current = ledger.releases.current("flights")
        with ledger.leases.hold("flights", scope="release") as lease:
            entry = ledger.releases.intend(
                VERSION.model_copy(update={"version": version}),
                expected_previous=current.seq if current else None,
                previous_version=None,
                kind="promotion",
                reason="",
                actor="gate",
                lease=lease,
            )
            ledger.releases.advance(entry, "alias_set", lease=lease)
        sign_release(ledger, "flights", entry.seq)

    release(1)
    assert check_signatures(ledger, "flights") == ({}, [])  # nobody is trusted, and nothing is signed

    public = new_key(tmp_path / "key.pem")
    monkeypatch.setenv("EVERFIT_SIGNING_KEY", str(tmp_path / "key.pem"))
    assert check_signatures(ledger, "flights")[1] == ["release 1, the present one, is not signed"]
    release(2)
    links, problems = check_signatures(ledger, "flights")
    assert ([*links], problems) == (["the signature of release 2"], [])

    other = new_key(tmp_path / "other.pem")
    (tmp_path / "signers.txt").write_text(f"{other} bob\n")
    monkeypatch.setenv("EVERFIT_SIGNERS", str(tmp_path / "signers.txt"))
    (problem,) = check_signatures(ledger, "flights")[1]
    assert problem.startswith(f"the signature of release 2 doesn't count: it is signed by the key '{public[:20]}")
