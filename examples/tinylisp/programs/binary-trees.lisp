; Binary trees: many short-lived ones of each depth beside one that stays, each depth a task of its own.

(define (make-tree depth)
  (if (= depth 0) (cons '() '()) (cons (make-tree (- depth 1)) (make-tree (- depth 1)))))

(define (check tree)
  (if (null? (car tree)) 1 (+ 1 (check (car tree)) (check (cdr tree)))))

(define (power n) (if (= n 0) 1 (* 2 (power (- n 1)))))

(define (check-many times depth)
  (let loop ((i 0) (sum 0))
    (if (< i times) (loop (+ i 1) (+ sum (check (make-tree depth)))) sum)))

(define deepest 9)
(define long-lived (make-tree deepest))

(define (row depth)
  (let ((times (power (+ (- deepest depth) 4))))
    (list times depth (check-many times depth))))

(define (depths from) (if (> from deepest) '() (cons from (depths (+ from 2)))))

(define tasks (map (lambda (depth) (spawn (lambda () (row depth)))) (depths 4)))

(for-each (lambda (task)
            (let ((r (await task)))
              (print (car r) " trees of depth " (cadr r) " check: " (caddr r))))
          tasks)
(print "long lived tree of depth " deepest " check: " (check long-lived))
