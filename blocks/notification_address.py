"""Any address that Apprise knows, such as a mail server, as a Prefect block."""

from prefect.blocks.notifications import AbstractAppriseNotificationBlock
from pydantic import ConfigDict, Field, SecretStr, field_validator


class NotificationAddress(AbstractAppriseNotificationBlock):
    """Store an address for notifications: e-mail, or any other service that Apprise knows.

    Messages have their picture attached where the service takes files, such as e-mail.

    Attributes:
        url: The address as Apprise writes it.

    Example:
        Load a stored address, and notify:

        ```python
        from everfit.blocks import NotificationAddress

        NotificationAddress.load("BLOCK_NAME").notify("The data is broken.", subject="flights")
        ```
    """

    _block_type_name = "Everfit Notification Address"
    _block_type_slug = "everfit-notification-address"
    _logo_url = "https://raw.githubusercontent.com/everfit/everfit/main/docs/logo.png"  # type: ignore[assignment]
    _documentation_url = "https://github.com/everfit/everfit/blob/main/docs/server.md#notifications"  # type: ignore[assignment]

    model_config = ConfigDict(hide_input_in_errors=True)  # an address contains a password

    url: SecretStr = Field(
        default=...,
        description="The address as Apprise writes it, such as mailto://user:password@mail.example.com?to=team@example.com.",
    )

    @field_validator("url")
    @classmethod
    def _is_known(cls, url: SecretStr) -> SecretStr:
        """Refuse an address that Apprise would leave out without a word, so that no message would arrive."""
        from apprise import Apprise

        if Apprise.instantiate(url.get_secret_value(), suppress_exceptions=True) is None:
            raise ValueError(
                "Apprise knows no such address; see the list of services at https://appriseit.com/services"
            )
        return url

    def notify_with_picture(self, body: str, subject: str, picture: str) -> bool:
        """Send a message with a picture attached.

        Args:
            body: The text.
            subject: Its first line.
            picture: Path of the picture.

        Returns:
            Whether the service took it.
        """
        return bool(self._apprise_client.notify(body=body, title=subject, notify_type=self.notify_type, attach=picture))
