(define (ring) (letrec ((a (lambda () b)) (b (lambda () a))) (a)))
(define (many n) (if (= n 0) 0 (begin (ring) (many (- n 1)))))
(define tasks (map (lambda (i) (spawn (lambda () (many 50000)))) (iota 4)))
(print (fold + 0 (map await tasks)))
