"""Counts parameters and multiply-accumulates of all models of the zoo, and writes ssdzoo/costs.toml. Run it when a table changes.

python tools/count_costs.py
"""

from pathlib import Path

from ssdzoo.costs import count_cost, preset_key
from ssdzoo.files import write_text
from ssdzoo.zoo import find_preset, list_models

TARGET = Path(__file__).resolve().parents[1] / "ssdzoo" / "costs.toml"
HEADER = "# Written by tools/count_costs.py from the preset tables; `preset` is a hash of what a preset builds.\n\n"


def main() -> None:
    lines = []
    for preset in map(find_preset, list_models()):
        key, cost = preset_key(preset), count_cost(preset)
        lines.append(f'"{preset.name}" = {{ preset = "{key}", parameters = {cost.parameters}, macs = {cost.macs} }}\n')
    write_text(TARGET, HEADER + "".join(lines))
    print(f"{TARGET}: {len(lines)} models")


if __name__ == "__main__":
    main()
