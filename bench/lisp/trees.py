def make(depth):
    return (None, None) if depth == 0 else (make(depth - 1), make(depth - 1))


def check(tree):
    return 1 if tree[0] is None else 1 + check(tree[0]) + check(tree[1])


kept = make(14)
print(check(kept) + sum(check(make(11)) for _ in range(200)))
