#!/usr/bin/env python3
"""Start Campaign from a checkout, with nothing but Python 3.11 or newer.

    python3 run.py               installs what is locked, loads the demo, starts everything
    python3 run.py test          installs the test tools too and runs the whole suite
    python3 run.py test --postgres tests/petitions -k count
    python3 run.py install [test]  only installs
    python3 run.py lock          writes both lock files anew from pyproject.toml (needs uv)

Further arguments of the first go to `campaign up`, those of the second to pytest. All that is
installed lies in `.venv`, all that is stored in DATA_DIR (default: data).

This file uses the standard library alone, and a syntax that Python 2.7 can still read: it must
be able to say which Python it needs.
"""

from __future__ import print_function

import hashlib
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NAMES = ("python3.13", "python3.12", "python3.11", "python3.14", "python3")
HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOCKS = {"runtime": "requirements.lock", "test": "requirements-test.lock"}
LAYOUT = "1"  # raised when what setting up writes changes

# pip makes the same kind of file: `sh` starts the Python beside it, and Python reads on.
COMMAND = """#!/bin/sh
'''exec' "$(dirname "$0")/python" "$0" "$@"
' '''
import sys

from campaign.app import main

sys.exit(main())
"""


def say(text):
    print("run.py: " + text, file=sys.stderr)
    sys.stderr.flush()


def stop(text):
    say(text)
    sys.exit(1)


# --- A Python that is new enough -----------------------------------------------------------------


def answers(python, code):
    """Whether `python` runs `code` without an error."""
    try:
        with open(os.devnull, "w") as silence:
            return subprocess.call([python, "-c", code], stdout=silence, stderr=silence) == 0
    except OSError:
        return False


def on_path(name):
    """Every executable called `name` on PATH: the first may be a shim that leads nowhere."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = [os.path.join(folder, name) for folder in folders if folder]
    return [path for path in found if os.access(path, os.X_OK) and os.path.isfile(path)]


def need_new_python():
    """Go on under a new enough Python, or say plainly that there is none."""
    if sys.version_info[:2] >= OLDEST:
        return
    here = "%d.%d" % sys.version_info[:2]
    if not os.environ.get("CAMPAIGN_FOUND_PYTHON"):
        enough = "import sys; sys.exit(sys.version_info < %r)" % (OLDEST,)
        for name in NAMES:
            for python in on_path(name):
                if answers(python, enough):
                    say("this is Python %s, going on with %s" % (here, python))
                    os.environ["CAMPAIGN_FOUND_PYTHON"] = "1"
                    os.execv(python, [python, os.path.abspath(__file__)] + sys.argv[1:])
    stop(
        "Campaign needs Python 3.11 or newer; this is %s and PATH holds no newer one. "
        "Install Python 3.11, 3.12 or 3.13 and run this again." % here
    )


# --- The environment -----------------------------------------------------------------------------


def quiet_environment():
    """The environment for installers: no surprise from a PYTHONPATH or an unwritable home."""
    environ = dict(os.environ)
    environ.pop("PYTHONPATH", None)
    environ.pop("PYTHONHOME", None)
    environ["PYTHONNOUSERSITE"] = "1"
    environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    environ["PIP_ROOT_USER_ACTION"] = "ignore"
    home = environ.get("HOME", "")
    if not home or not os.access(home, os.W_OK):
        environ["UV_NO_CACHE"] = "1"
        environ["PIP_NO_CACHE_DIR"] = "1"
    return environ


def works(arguments, environ):
    """Run a command with its output shown; whether it succeeded."""
    try:
        return subprocess.call(arguments, env=environ, cwd=HERE) == 0
    except OSError:
        return False


def fingerprint(group):
    """What `.venv` must have been made from: the lock, this Python, this place."""
    digest = hashlib.sha256()
    with open(os.path.join(HERE, LOCKS[group]), "rb") as file:
        digest.update(file.read())
    digest.update(("%s %s %s" % (LAYOUT, sys.version_info[:2], HERE)).encode("utf-8"))
    return digest.hexdigest()


def stamp_of(group):
    return os.path.join(VENV, "installed-" + group)


def is_installed(group):
    try:
        with open(stamp_of(group)) as file:
            return file.read() == fingerprint(group) and os.access(PYTHON, os.X_OK)
    except (IOError, OSError):
        return False


def write(path, text, mode=0o644):
    """Write a file at once or not at all."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)


def clear_environment(keep):
    """Empty `.venv`: what an interrupted start or another Python has left."""
    for name in os.listdir(VENV):
        path = os.path.join(VENV, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif path != keep:
            os.unlink(path)


def make_environment(environ, lock_file):
    """Make `.venv` by the first way that this machine offers."""
    if is_environment():
        return
    clear_environment(lock_file)
    say("making %s with Python %d.%d" % ((VENV,) + tuple(sys.version_info[:2])))
    own = getattr(sys, "_base_executable", None) or sys.executable
    if answers(own, "import venv, ensurepip"):
        if works([own, "-m", "venv", VENV], environ) and is_environment():
            return
    elif find_uv(environ) or answers(own, "import pip"):
        # Debian without python3-venv: an environment without pip of its own, filled from outside.
        if works([own, "-m", "venv", "--without-pip", VENV], environ) and is_environment():
            return
    if answers(own, "import virtualenv"):
        if works([own, "-m", "virtualenv", "--quiet", VENV], environ) and is_environment():
            return
    package = "python%d.%d-venv" % tuple(sys.version_info[:2])
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0 and not os.environ.get("CAMPAIGN_NO_APT"):
        say("this Python cannot make environments: installing %s with apt-get" % package)
        environ = dict(environ, DEBIAN_FRONTEND="noninteractive")
        works([apt, "update", "-qq"], environ)
        works([apt, "install", "-y", "-qq", "--no-install-recommends", package], environ)
        clear_environment(lock_file)
        if works([own, "-m", "venv", VENV], environ) and is_environment():
            return
    stop("this Python cannot make environments: run `apt install %s` first" % package)


def is_environment():
    """Whether `.venv` holds a Python of this very version that starts."""
    version = "import sys; sys.exit(sys.version_info[:2] != %r)" % (tuple(sys.version_info[:2]),)
    return os.path.exists(os.path.join(VENV, "pyvenv.cfg")) and answers(PYTHON, version)


def find_uv(environ):
    """The path of a uv that works, or None."""
    for path in on_path("uv"):
        with open(os.devnull, "w") as silence:
            if subprocess.call([path, "--version"], env=environ, stdout=silence, stderr=silence):
                continue
        return path
    return None


def install(group, environ):
    """Install one lock into `.venv`, by uv where it is there, else by pip; whether it worked."""
    lock = os.path.join(HERE, LOCKS[group])
    say("installing %s (once; it takes a minute)" % LOCKS[group])
    uv = find_uv(environ)
    if uv:
        # The system's certificates, and no patience: pip is there for networks uv cannot read.
        environ = dict(environ, UV_SYSTEM_CERTS="1", UV_NATIVE_TLS="1", UV_HTTP_RETRIES="1")
        options = ["--python", PYTHON, "--require-hashes", "--no-deps", "-r", lock]
        if works([uv, "pip", "install"] + options, environ):
            return True
        say("uv could not install: trying pip")
    options = ["install", "--require-hashes", "--no-deps", "--prefer-binary", "-r", lock]
    if answers(PYTHON, "import pip"):
        pip = [PYTHON, "-m", "pip"]
    else:
        pip = [sys.executable, "-m", "pip", "--python", PYTHON]
    return works(pip + options, environ)


def install_all(groups, environ):
    return all(install(group, environ) for group in groups)


def link_checkout():
    """Let `.venv` find this checkout and offer the `campaign` command, without building a wheel."""
    library = "python%d.%d" % tuple(sys.version_info[:2])
    write(os.path.join(VENV, "lib", library, "site-packages", "campaign-checkout.pth"), HERE + "\n")
    write(os.path.join(VENV, "bin", "campaign"), COMMAND, 0o755)


def prepare_files(environ):
    """Compile translations and compress style sheets now, so that a start writes nothing here."""
    code = (
        "from pathlib import Path; from campaign.web import languages, static_files; "
        "languages.compile_catalogs(Path('campaign/translations')); "
        "static_files.compress(Path('campaign/static'))"
    )
    if not works([PYTHON, "-c", code], environ):
        stop("preparing translations and style sheets failed: see above")


def set_up(groups):
    """Bring `.venv` to what the locks say. Returns at once when it is."""
    if all(is_installed(group) for group in groups):
        return
    import fcntl  # two starts at once: the second waits, then finds all done

    if not os.path.isdir(VENV):
        os.mkdir(VENV)
    lock_file = os.path.join(VENV, ".setup")  # uv locks `.lock` for itself
    with open(lock_file, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environ = quiet_environment()
        make_environment(environ, lock_file)
        missing = [group for group in groups if not is_installed(group)]
        was_whole = os.path.exists(stamp_of("runtime"))
        if not install_all(missing, environ):
            if was_whole:  # keep what worked before: the network may be away
                stop("installing failed: see above; run this again to go on")
            say("starting over: an earlier start may have been interrupted")
            clear_environment(lock_file)
            make_environment(environ, lock_file)
            if not install_all(groups, environ):
                stop("installing failed: see above; run this again to go on")
        if missing:
            link_checkout()
            prepare_files(environ)
        for group in groups:
            write(stamp_of(group), fingerprint(group))


# --- What one asks for ---------------------------------------------------------------------------


def become(arguments):
    """Be replaced by a Python of `.venv`, so that Ctrl-C and exit codes are its own."""
    environ = dict(os.environ, PYTHONNOUSERSITE="1")
    environ.pop("PYTHONPATH", None)
    environ.pop("PYTHONHOME", None)
    environ.pop("CAMPAIGN_FOUND_PYTHON", None)
    if not environ.get("LANG") and not environ.get("LC_ALL"):
        environ["LC_ALL"] = "C.UTF-8"
    environ["PATH"] = os.path.join(VENV, "bin") + os.pathsep + environ.get("PATH", os.defpath)
    os.chdir(HERE)
    sys.stdout.flush()
    os.execve(PYTHON, [PYTHON] + arguments, environ)


def test(arguments):
    set_up(["runtime", "test"])
    module = ["-m", "pytest"]
    if "--postgres" in arguments:
        arguments = [argument for argument in arguments if argument != "--postgres"]
        module = ["-m", "tests.servers"]
    chosen = any(argument.startswith(("-n", "--numprocesses", "--pdb")) for argument in arguments)
    become(module + ([] if chosen else ["-n", "2", "--dist", "loadgroup"]) + arguments)


def lock():
    uv = find_uv(quiet_environment())
    if not uv:
        stop("writing locks needs uv")
    environ = dict(quiet_environment(), UV_CUSTOM_COMPILE_COMMAND="python3 run.py lock")
    options = "--universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade"
    common = [uv, "pip", "compile", "--quiet"] + options.split()
    runtime = common + ["pyproject.toml", "-o", LOCKS["runtime"]]
    tools = common + ["--group", "pyproject.toml:test", "-c", LOCKS["runtime"]]
    if not works(runtime, environ) or not works(tools + ["-o", LOCKS["test"]], environ):
        stop("the locks could not be written")


def main():
    need_new_python()
    arguments = sys.argv[1:]
    if arguments[:1] == ["test"]:
        test(arguments[1:])
    elif arguments == ["install"] or arguments == ["install", "test"]:
        set_up(["runtime"] + arguments[1:])
    elif arguments == ["lock"]:
        lock()
    elif not arguments or (arguments[0].startswith("--") and arguments[0] != "--help"):
        set_up(["runtime"])
        become([os.path.join(VENV, "bin", "campaign"), "up", "--demo"] + arguments)
    else:
        print(__doc__)
        sys.exit(0 if arguments[0] in ("-h", "--help", "help") else 2)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
