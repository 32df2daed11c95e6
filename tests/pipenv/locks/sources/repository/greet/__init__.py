def main() -> None:
    print("greet")
