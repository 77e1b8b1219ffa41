#!/bin/sh
# Two phones edit the same customer card without signal: each in a field of its own, and both in one field.
# After both have synced, both show the same card, with both values of the clash.
#
# Usage: two-phones.sh DAYBOOK_BINARY PORT
# Uses only the commands that the README promises to scripts. Needs python3 to read JSON.
set -eu

daybook=$1
address=127.0.0.1:$2
work=$(mktemp -d)
server=
trap 'status=$?; [ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"; exit $status' EXIT INT TERM

export DAYBOOK_PASSWORD=correct-horse-battery
"$daybook" init --data "$work/data" >&2
"$daybook" user add li --role rep --team north --data "$work/data" >&2
"$daybook" user add wang --role assistant --team north --data "$work/data" >&2

# The server prints one line when it is ready; if it dies instead, the reading end sees the end of the pipe.
mkfifo "$work/ready"
"$daybook" serve --data "$work/data" --listen "$address" >"$work/ready" 2>"$work/server.log" &
server=$!
exec 3<"$work/ready"
read -r _ <&3 || { cat "$work/server.log" >&2; exit 1; }

li() { "$daybook" device --dir "$work/li" "$@"; }
wang() { "$daybook" device --dir "$work/wang" "$@"; }

li login "http://$address" li >&2
wang login "http://$address" wang >&2

li customer add --name 东风机械厂 --address 老地址 --phone 13800138000 >&2
li sync >&2
wang sync >&2

# Nobody has signal: neither phone talks to the server in these lines.
li customer edit 东风机械厂 --address 长江路1号 --add-phone 13900139001 >&2
wang customer edit 东风机械厂 --address 黄河路2号 --add-phone 13700137002 >&2
li visit add 东风机械厂 --text 设备已看过 >&2

li sync >&2
wang sync >&2
li sync >&2

li customer show 东风机械厂 --json >"$work/li.json"
wang customer show 东风机械厂 --json >"$work/wang.json"
li pending --json >"$work/li-pending.json"
wang pending --json >"$work/wang-pending.json"
wang timeline 东风机械厂 --json >"$work/wang-timeline.json"

kill "$server"
wait "$server" || { echo "the server did not end in good order" >&2; exit 1; }
server=
"$daybook" verify --data "$work/data" >&2

python3 - "$work" <<'PYTHON'
import json, sys
work = sys.argv[1]
def read(name):
    with open(f"{work}/{name}", encoding="utf-8") as file:
        return json.load(file)

li, wang = read("li.json"), read("wang.json")
for key in ("id", "name", "code", "owner", "address"):
    assert li[key] == wang[key], (key, li[key], wang[key])
by_number = lambda card: sorted((phone["number"], phone["state"]) for phone in card["phones"])
assert by_number(li) == by_number(wang), (li["phones"], wang["phones"])
assert [number for number, _ in by_number(li)] == ["13700137002", "13800138000", "13900139001"], li["phones"]

for card in (li, wang):
    clashes = {clash["field"]: clash["values"] for clash in card["clashes"]}
    assert set(clashes) == {"address"}, clashes
    values = {value["value"]: value["person"] for value in clashes["address"]}
    assert values == {"长江路1号": "li", "黄河路2号": "wang"}, values
    assert all(value["recorded_at"] for value in clashes["address"])
    assert card["address"] in values

for name in ("li-pending.json", "wang-pending.json"):
    pending = read(name)
    assert pending["edits"] == 0 and pending["refused"] == 0, (name, pending)
visits = [entry for entry in read("wang-timeline.json") if entry["kind"] == "visit"]
assert [visit["text"] for visit in visits] == ["设备已看过"], visits
assert visits[0]["person"] == "li" and visits[0]["received_at"]
PYTHON
echo "both phones show the same card and both values of the clash"
