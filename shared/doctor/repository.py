"""The repository that a step pushes to: the token, whose it is, and whether it may write there."""

from collections.abc import Iterator

from shared.doctor.finding import Finding, fail, ok, warn
from shared.hub.publish import full_name


def check_repository(label: str, repository: str, owner: str) -> Iterator[Finding]:
    """Ask the Hub; nothing is made there."""
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    if not get_token():
        yield fail(f"{label}: there is no token for the Hub: hf auth login, or set HF_TOKEN")
        return
    api = HfApi()
    try:
        account = api.whoami()
        names = [account["name"], *(one["name"] for one in account.get("orgs") or ())]
        name = full_name(repository, owner or account["name"])
        role = ((account.get("auth") or {}).get("accessToken") or {}).get("role")
        if role == "read":
            yield fail(f"{label}: the token of {account['name']} may only read; make one that writes, or set no_push")
            return
        try:
            private = api.repo_info(name, repo_type="dataset").private
            yield ok(f"{label}: {name} is there, {'private' if private else 'for everyone to see'}")
        except RepositoryNotFoundError:
            if name.partition("/")[0] not in names:
                yield fail(
                    f"{label}: there is no {name}, and {account['name']} may not make it; set hf_username to one of "
                    f"{', '.join(names)}"
                )
                return
            yield ok(f"{label}: {name} is not there and will be made")
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        if status in (401, 403):
            yield fail(f"{label}: the Hub does not know the token; log in again: hf auth login")
        else:
            yield warn(
                f"{label}: the Hub answers with status {status}; what is recorded is pushed when it is well again"
            )
    except Exception as error:
        yield warn(
            f"{label}: the Hub cannot be reached ({type(error).__name__}); what is recorded is pushed when it can"
        )
