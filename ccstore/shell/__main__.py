"""Makes the man page and the completion scripts anew, after a command or an option has changed."""

from ccstore.shell.completion import MADE, SCRIPTS
from ccstore.shell.manual import manual
from ccstore.shell.scripts import script

if __name__ == "__main__":
    for shell, path in SCRIPTS.items():
        path.write_text(script(shell), "utf-8")
    (MADE / "ccstore.1").write_text(manual(), "utf-8")
