; All ways to put n queens on a board of n by n; the first row is divided among tasks.

(define (safe? column placed)
  (let loop ((rows placed) (distance 1))
    (cond ((null? rows) #t)
          ((= (car rows) column) #f)
          ((= (car rows) (+ column distance)) #f)
          ((= (car rows) (- column distance)) #f)
          (else (loop (cdr rows) (+ distance 1))))))

(define (count n placed row)
  (if (= row n)
      1
      (let loop ((column 0) (sum 0))
        (if (= column n)
            sum
            (loop (+ column 1)
                  (if (safe? column placed) (+ sum (count n (cons column placed) (+ row 1))) sum))))))

(define (queens n)
  (fold (lambda (sum task) (+ sum (await task))) 0
        (map (lambda (column) (spawn (lambda () (count n (list column) 1)))) (iota n))))

(for-each (lambda (n) (print n " queens: " (queens n))) '(4 5 6 7))
