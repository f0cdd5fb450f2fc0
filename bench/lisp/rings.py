def ring():
    def a():
        return b

    def b():
        return a
    a()


for _ in range(200000):
    ring()
print(0)
