; What weak tables, the table of symbols and finalizers do when the last reference goes.

; Other threads, and the runtime's own, may be in the middle of something: collect until it is so.
(define (collect-until done?)
  (if (done?) 'done (begin (collect) (collect-until done?))))

; A memo for data: an entry lives as long as its key, even if the value leads back to the key.
(define memo (make-weak-table))
(define misses 0)
(define (size tree)
  (cond ((null? tree) 0)
        ((not (pair? tree)) 1)
        ((weak-table-ref memo tree))
        (else (let ((n (+ (size (car tree)) (size (cdr tree)))))
                (set! misses (+ misses 1))
                (weak-table-set! memo tree n)
                n))))

(define data '((a b) (c (d e)) f))
(print (size data) " " misses)
(print (size data) " " misses)
(print (weak-table-count memo))

(define (ring-in-table)
  (let ((key (cons 1 2)))
    (weak-table-set! memo key (list 'back key))
    (print (car (weak-table-ref memo key)) " " (weak-table-ref memo '(nobody) 'nothing))))
(ring-in-table)
(set! data '())
(print (collect-until (lambda () (= (weak-table-count memo) 0))))

; Names that were made and forgotten
(define before (known-symbols))
(define (make-names n)
  (if (> n 0)
      (begin (string->symbol (string-append "name-" (number->string n)))
             (make-names (- n 1)))))
(make-names 5000)
(print (collect-until (lambda () (< (- (known-symbols) before) 10))))

; A file that is written and forgotten is closed, and so complete.
(define name "tinylisp-weak.txt")
(define (forget-a-port)
  (let ((port (open-output-file name)))
    (define (say x) (display x port) (newline port))
    (say "first") (say '(second "line"))))
(forget-a-port)
(collect-until (lambda () (< 0 (forgotten-ports))))
(print (forgotten-ports) " port was forgotten")
(define in (open-input-file name))
(print (read-line in))
(print (read-line in))
(print (eof-object? (read-line in)))
(print (close-port in) " " (close-port in))

; Rings of closures go, too.
(define (ring n)
  (if (> n 0)
      (letrec ((a (lambda () b)) (b (lambda () a)))
        (a)
        (ring (- n 1)))))
(define live (live-objects))
(ring 1000)
(print (collect-until (lambda () (< (- (live-objects) live) 100))))
