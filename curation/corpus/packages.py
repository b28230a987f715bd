"""The artwork packages of the atelier, pinned by version and by the hash of the tarball."""

from __future__ import annotations

from dataclasses import dataclass

REALISTIC_FAMILY = "fluent-3d"
"""The family of 3-D renders, which plays the photorealistic side and is never a target."""


@dataclass(frozen=True)
class Package:
    """One set of artwork: where npm finds it, what its tarball hashes to, and whose hand it is.

    `set` is the short name used in locators. A `family` is a group of sets that a good encoder cannot tell apart.
    `integrity` is npm's form, `sha512-<base64>`.
    """

    set: str
    npm: str
    version: str
    integrity: str
    family: str

    @property
    def spec(self) -> str:
        """Return what npm and the rows of a manifest call this: `name@version`."""
        return f"{self.npm}@{self.version}"

    @property
    def tarball(self) -> str:
        """Return the file name under which the cache keeps the tarball."""
        return f"{self.set}-{self.version}.tgz"


PACKAGES: tuple[Package, ...] = (
    Package(
        "noto",
        "@iconify-json/noto",
        "1.2.9",
        "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "color",
    ),
    Package(
        "noto-v1",
        "@iconify-json/noto-v1",
        "1.2.5",
        "sha512-/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
        "color",
    ),
    Package(
        "twemoji",
        "@iconify-json/twemoji",
        "1.2.5",
        "sha512-uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        "color",
    ),
    Package(
        "emojione",
        "@iconify-json/emojione",
        "1.2.3",
        "sha512-T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
        "color",
    ),
    Package(
        "emojione-v1",
        "@iconify-json/emojione-v1",
        "1.2.3",
        "sha512-UjI2VQEXVtGlPBvQuxEizro7QCgBcJDOYwKUupquvvZ8UV4xOlvm45IU82JYWegiAWLerY79gFLMZ26U6Ms+ww==",
        "color",
    ),
    Package(
        "openmoji",
        "@iconify-json/openmoji",
        "1.2.29",
        "sha512-vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ==",
        "openmoji",
    ),
    Package(
        "fluent-emoji-flat",
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "sha512-RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        "fluent-flat",
    ),
    Package(
        "fluent-emoji-high-contrast",
        "@iconify-json/fluent-emoji-high-contrast",
        "1.2.6",
        "sha512-esqhZPpkrF7sNX3NsLoh8KW64okEr/bzko7WNnFP+qTJGAqDPDYjp0925yxuivXy3HtVQB8xhIKu3+Nq1byX5w==",
        "fluent-high-contrast",
    ),
    Package(
        "emojione-monotone",
        "@iconify-json/emojione-monotone",
        "1.2.1",
        "sha512-cZSNcPsuiAD6HCzCh/2dYKGh3pNI0jJlxBxQWfC33cQsPtqYZqulGBvlkThXYNvDl8VxgVHT9u+izyX/yeEIkA==",
        "emojione-monotone",
    ),
    Package(
        "fluent-emoji-3d",
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "sha512-Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g==",
        REALISTIC_FAMILY,
    ),
)
"""Every set, in the order in which sources list them. Licences and authors travel inside the packages."""
