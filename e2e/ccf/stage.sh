# Sourced by run and app: sets up Python and a stage, a folder in which our
# binaries are where CCF's Python infrastructure looks for CCF's. Wants repo;
# sets tree, cache, stage, build, venv and the environment.
: "${CCF_TREE:?set CCF_TREE to a checkout of CCF}"
tree=$(cd "$CCF_TREE" && pwd)
[ -f "$tree/tests/config.jinja" ] || { echo "$tree is not a checkout of CCF" >&2; exit 2; }
cache=$repo/.cache/ccf

# --- Python -----------------------------------------------------------------
python=$("$repo/tools/python/find")
venv=$cache/venv
stamp=$(cat "$tree/tests/requirements.txt" "$repo/e2e/ccf/constraints.txt"; "$python" --version)
if [ "$stamp" != "$(cat "$venv/stamp" 2>/dev/null)" ]; then
  echo "making $venv with $("$python" --version); this takes minutes"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check \
    -r "$tree/tests/requirements.txt" -c "$repo/e2e/ccf/constraints.txt" cryptography setuptools packaging cddl-verifier
  echo "$stamp" >"$venv/stamp"
fi

# --- a stage beside which ../tests, ../samples, … resolve ---------------------
stage=$cache/stage
build=$stage/build
rm -rf "$stage"
mkdir -p "$build" "$stage/bin" "$cache/logs"
for name in cddl doc samples tests python js src; do
  [ ! -e "$tree/$name" ] || ln -s "$tree/$name" "$stage/$name"
done
if ! "$venv/bin/python3" -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
  # Before 3.12 an f-string may not reuse its own quotes inside its braces.
  rm "$stage/tests"
  cp -r "$tree/tests" "$stage/tests"
  "$venv/bin/python3" "$repo/e2e/ccf/unquote.py" "$stage/tests/infra/platform_detection.py"
fi
cp "$tree/tests/config.jinja" "$tree/python/utils/keygenerator.sh" "$tree/python/utils/submit_recovery_share.sh" "$build/"
chmod +x "$build"/*.sh
# The package's command-line tools, without installing the package.
for tool in ccf_cose_sign1:sign_cli ccf_cose_sign1_prepare:prepare_cli ccf_cose_sign1_finish:finish_cli; do
  printf '#!/bin/sh\nexec "%s" -c "import ccf.cose; ccf.cose.%s()" "$@"\n' "$venv/bin/python3" "${tool#*:}" >"$stage/bin/${tool%:*}"
done
printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$venv/bin/python3" "$repo/e2e/ccf/cddl.py" >"$stage/bin/cddl"
chmod +x "$stage/bin"/*
# Copies, not links: a node's host data is the hash of the file named as package.
cp "$repo/bin/synod-node" "$build/js_generic" 2>/dev/null || echo "no bin/synod-node: rows with J cannot run"
for name in logging:L basic:B nobuiltins:N programmability:P; do
  mkdir -p "$build/samples/apps/${name%:*}"
  cp "$repo/bin/${name%:*}" "$build/samples/apps/${name%:*}/" 2>/dev/null || echo "no bin/${name%:*}: rows with ${name#*:} cannot run"
done
[ -z "${CCF_SUBMIT-}" ] || cp "$CCF_SUBMIT" "$build/submit"

export PATH=$venv/bin:$stage/bin:$PATH
export PYTHONPATH=$stage/tests:$stage/python/src
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
