def is_safe(column, placed):
    distance = 1
    while placed is not None:
        row, placed = placed
        if row == column or row == column + distance or row == column - distance:
            return False
        distance += 1
    return True


def count(n, placed, row):
    if row == n:
        return 1
    return sum(count(n, (column, placed), row + 1) for column in range(n) if is_safe(column, placed))


print(count(9, None, 0))
