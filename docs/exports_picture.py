"""Draws `exports.svg`, how each tool numbers the places that a slider can move: run it in this folder."""

from pathlib import Path

COLUMNS = (
    ("Trimtab, repeng,", "AISteer360, CAA"),
    ("llama.cpp, EasySteer", "GGUF tensor"),
    ("lm-evaluation-harness", "module"),
    ("TransformerLens", "hook point"),
    ("activation-steering,", "refusal_direction"),
    ("transformers", "hidden_states[…]"),
)
PLACES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("embeddings", ("–", "–", "–", "–", "0", "0")),
    ("block 0", ("0", "–", "layers.0", "blocks.0.hook_out", "1", "1")),
    ("block 1", ("1", "direction.1", "layers.1", "blocks.1.hook_out", "2", "2")),
    ("block 2", ("2", "direction.2", "layers.2", "blocks.2.hook_out", "3", "3")),
    ("…", ("…",) * 6),
    ("block n-1", ("n-1", "direction.n-1", "layers.n-1", "blocks.n-1.hook_out", "–", "– (normed)")),
)
LEFT, TOP, STEP, WIDTH = 250, 110, 92, 165


def drawing() -> str:
    """The picture as SVG text."""
    width, height = LEFT + WIDTH * len(COLUMNS) + 20, TOP + STEP * len(PLACES) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="14">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<text x="20" y="30" font-size="17" font-weight="bold">One place, many numbers: '
        "the residual stream after a block is where a slider adds</text>",
    ]
    for column, (first, second) in enumerate(COLUMNS):
        x = LEFT + WIDTH * (column + 0.5)
        parts.append(f'<text x="{x}" y="62" text-anchor="middle" font-weight="bold">{first}</text>')
        parts.append(f'<text x="{x}" y="80" text-anchor="middle" font-weight="bold">{second}</text>')
    for row, (name, numbers) in enumerate(PLACES):
        y = TOP + STEP * row
        if name == "…":
            parts.append(f'<text x="105" y="{y + 30}" text-anchor="middle" font-size="22">⋮</text>')
        else:
            fill = "#f0f0f0" if row == 0 else "#dbe9f6"
            parts.append(f'<rect x="30" y="{y}" width="150" height="44" rx="8" fill="{fill}" stroke="#345"/>')
            parts.append(f'<text x="105" y="{y + 27}" text-anchor="middle">{name}</text>')
        below = y + 66
        parts.append(f'<line x1="105" y1="{y + 44}" x2="105" y2="{y + STEP - 2}" stroke="#345" stroke-width="2"/>')
        if name != "…":
            parts.append(f'<circle cx="105" cy="{below}" r="6" fill="#c0392b"/>')
            parts.append(
                f'<line x1="115" y1="{below}" x2="{width - 20}" y2="{below}" stroke="#c0392b" stroke-dasharray="2 5"/>'
            )
        for column, number in enumerate(numbers):
            x = LEFT + WIDTH * (column + 0.5)
            parts.append(f'<rect x="{x - 68}" y="{below - 12}" width="136" height="24" fill="white"/>')
            parts.append(f'<text x="{x}" y="{below + 5}" text-anchor="middle">{number}</text>')
    bottom = TOP + STEP * len(PLACES) + 18
    parts.append(f'<text x="105" y="{bottom}" text-anchor="middle">final norm, logits</text>')
    parts.append(
        f'<text x="{LEFT}" y="{bottom}" fill="#555">–: the tool can\'t reach this place; '
        "an export that needs it is refused.</text>"
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("exports.svg").write_text(drawing(), encoding="utf-8")
