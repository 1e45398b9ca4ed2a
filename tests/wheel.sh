#!/bin/sh
# Builds the wheel, installs it alone into a new environment, and uses it from an empty folder.
# PYTHON is the interpreter to build with; the constraints file pins what is installed.
set -eu
root=$(pwd)
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_CONSTRAINT="$root/constraints.txt" PIP_DISABLE_PIP_VERSION_CHECK=1

"$python" -m pip wheel -q --no-deps --wheel-dir "$work/wheel" "$root"
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q "$(echo "$work"/wheel/phrasim-*.whl)[docs,pytest]"
mkdir "$work/empty"
cd "$work/empty"
phrasim="$work/venv/bin/phrasim"
document=$("$work/venv/bin/python" -c 'from phrasim.documents import flow_document; print(flow_document("documented"))')
case $document in "$work"/venv/*) ;; *) echo "the wheel reads $document, which is not its own"; exit 1 ;; esac

"$phrasim" --version
"$phrasim" run "$(dirname "$(dirname "$document")")/scenarios" --trace traces --junit report.xml
for name in push pull; do
    "$phrasim" replay "traces/$name.jsonl"
    "$phrasim" report "traces/$name.jsonl" --out "$name.html"
    "$phrasim" diagram "traces/$name.jsonl" --format mermaid >/dev/null
    "$phrasim" conform "$document" "traces/$name.jsonl" | grep '12 of 12'
done

# The site is built from what the wheel has.
"$phrasim" docs
test -s site/scenarios/push.html
grep -q 'Made from <code>docs/ci.md</code>' site/docs/ci.html

# The sample project tests itself with the plugin that the wheel brings.
cp -R "$root/examples/uploader" uploader
cd uploader
"$work/venv/bin/python" -m pytest -q -p no:cacheprovider
