def main() -> None:
    print("part")
