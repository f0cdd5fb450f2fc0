(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))
(define tasks (map (lambda (i) (spawn (lambda () (fib 27)))) (iota 2)))
(print (fold + 0 (map await tasks)))
