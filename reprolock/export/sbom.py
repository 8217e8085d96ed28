"""A bill of materials: CycloneDX 1.6 (ECMA-424) as JSON, by cyclonedx-python-lib."""

from __future__ import annotations

import importlib.metadata
import uuid
from typing import TYPE_CHECKING, Any, BinaryIO

from reprolock.export import licences
from reprolock.export.extra import required
from reprolock.facts import installs, system
from reprolock.facts.packages import (
    LockedPackage,
    SdistFile,
    UnresolvedPackage,
    VcsSource,
    WheelFile,
)
from reprolock.finding import Finding, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    from reprolock.export.licences import Licence
    from reprolock.export.model import Subject

_OURS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:reprolock:sbom")


class Sbom:
    name = "sbom"
    mark = b'"name": "reprolock:lock"'

    def filename(self, subject: Subject) -> str:
        return f"{subject.stem}.cdx.json"

    def write(self, subject: Subject, file: BinaryIO) -> tuple[Finding, ...]:
        """Write the bill. Its serial number and time are the lock's, and not those of the export.

        Raises ExportError where the library is missing.
        """
        with required("sbom", "cyclonedx-python-lib"):
            from cyclonedx.output.json import JsonV1Dot6
        known = licences.of_packages(subject)
        file.write(JsonV1Dot6(_bom(subject, known)).output_as_string(indent=2).encode() + b"\n")
        return _unknown(subject, known)


def _unknown(subject: Subject, known: dict[str, Licence]) -> tuple[Finding, ...]:
    names = sorted(p.name for p in subject.packages.packages if p.name not in known)
    if not names:
        return ()
    return (
        note(
            "export.licences-unknown",
            f"the licences of {len(names)} packages were not looked up or could not be: "
            f"{', '.join(names)}",
            hint="a wheel tells its licence; it is read from the index, or from a bundle",
        ),
    )


def _bom(subject: Subject, known: dict[str, Licence]) -> Any:
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.tool import ToolRepository

    root = _notebook(subject)
    components = list(_components(subject, known))
    bom = Bom(
        components=components,
        serial_number=uuid.uuid5(_OURS, subject.locked.digest),
        metadata=BomMetaData(
            component=root,
            timestamp=subject.created,
            tools=ToolRepository(components=[_tool()]),
            properties=_properties(
                {"lock": subject.locked.path.name, "digest": subject.locked.digest}
            ),
        ),
    )
    bom.register_dependency(root, components)
    return bom


def _notebook(subject: Subject) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=subject.notebook.path,
        type=ComponentType.APPLICATION,
        bom_ref=f"notebook:{subject.notebook.path}",
        version=subject.notebook.source_sha256[:12],
        properties=_properties({"source-sha256": subject.notebook.source_sha256}),
    )


def _tool() -> Component:
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name="reprolock",
        type=ComponentType.APPLICATION,
        bom_ref="tool:reprolock",
        version=importlib.metadata.version("reprolock"),
    )


def _components(subject: Subject, known: dict[str, Licence]) -> Iterator[Component]:
    yield _interpreter(subject)
    facts = subject.locked.record
    for package in subject.packages.packages:
        yield _locked(package, known.get(package.name))
    for other in subject.packages.unresolved:
        yield _unresolved(other, facts[system.System].os)
    for one in facts[installs.Installs].changes:
        if one.system and one.after is not None:
            yield _of_the_system(one.name, one.after, facts[system.System].os)


def _interpreter(subject: Subject) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    wanted = subject.interpreter
    purl = PackageURL("generic", None, "python", wanted.version)
    return Component(
        name=wanted.implementation,
        type=ComponentType.PLATFORM,
        version=wanted.version,
        bom_ref=purl.to_string(),
        purl=purl,
        properties=_properties({"platform": wanted.platform}),
    )


def _locked(package: LockedPackage, licence: Licence | None) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    purl = _purl(package)
    source = package.source
    return Component(
        name=package.name,
        type=ComponentType.LIBRARY,
        version=package.version,
        bom_ref=purl.to_string(),
        purl=purl,
        hashes=[] if isinstance(source, VcsSource) else [_sha256(source.sha256)],
        licenses=_licences(licence) if licence else [],
        external_references=[_reference(package)],
        properties=_properties(
            {"evidence": package.evidence, "installer": package.installer, "files": package.files}
        ),
    )


def _purl(package: LockedPackage) -> PackageURL:
    """Return the package URL of type ``pypi`` (package-url/purl-spec), with its qualifiers."""
    from packageurl import PackageURL

    source = package.source
    if isinstance(source, (WheelFile, SdistFile)):
        qualifiers = {"file_name": source.filename}
    elif isinstance(source, VcsSource):
        qualifiers = {"vcs_url": f"{source.type}+{source.url}@{source.commit_id}"}
    else:
        qualifiers = {"download_url": source.url, "checksum": f"sha256:{source.sha256}"}
    return PackageURL("pypi", None, package.name, package.version, qualifiers)


def _reference(package: LockedPackage) -> Any:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri

    source = package.source
    if isinstance(source, VcsSource):
        return ExternalReference(
            type=ExternalReferenceType.VCS, url=XsUri(source.url), comment=source.commit_id
        )
    return ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(source.url),
        hashes=[_sha256(source.sha256)],
    )


def _sha256(value: str) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=value)


def _licences(licence: Licence) -> list[Any]:
    """Return the expression alone where there is one, else the names: the format takes no mix."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.license import (
        DisjunctiveLicense,
        LicenseAcknowledgement,
        LicenseExpression,
    )

    stated = LicenseAcknowledgement.DECLARED
    first = licence.expression or licence.text
    if first:
        return [LicenseFactory().make_from_string(first, license_acknowledgement=stated)]
    if len(licence.classifiers) == 1:
        made = LicenseFactory().make_from_string(
            licence.classifiers[0].removesuffix(" License"), license_acknowledgement=stated
        )
        if not isinstance(made, LicenseExpression) and made.id:
            return [made]
    return [DisjunctiveLicense(name=n, acknowledgement=stated) for n in licence.classifiers]


def _unresolved(package: UnresolvedPackage, os: str) -> Component:
    """Return what no index has: its purl is that of the manager that installed it, if one did."""
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    origin = package.origin
    name, version = origin.get("name", package.name), origin.get("version", package.version)
    purl = PackageURL("generic", None, package.name, package.version)
    if origin.get("kind") == "conda":
        kept = {k: origin[k] for k in ("build", "channel") if origin.get(k)}
        purl = PackageURL("conda", None, name, version, kept)
    elif origin.get("kind") == "apt":
        purl = PackageURL("deb", os, name, version)
    elif package.filename:
        purl = PackageURL("pypi", None, package.name, package.version,
                          {"file_name": package.filename})  # fmt: skip
    return Component(
        name=package.name,
        type=ComponentType.LIBRARY,
        version=package.version,
        bom_ref=purl.to_string(),
        purl=purl,
        hashes=[_sha256(package.sha256)] if package.sha256 and not package.differs else [],
        properties=_properties(
            {
                "not-locked": package.reason,
                "files": package.files,
                "commit": origin.get("commit"),
                "changed": origin.get("changed"),
            }
        ),
    )


def _of_the_system(name: str, version: str, os: str) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    purl = PackageURL("deb", os, name, version)
    return Component(
        name=name,
        type=ComponentType.LIBRARY,
        version=version,
        bom_ref=purl.to_string(),
        purl=purl,
        properties=_properties({"installed-by": "apt"}),
    )


def _properties(values: dict[str, str | None]) -> list[Any]:
    from cyclonedx.model import Property

    return [Property(name=f"reprolock:{k}", value=v) for k, v in values.items() if v]
