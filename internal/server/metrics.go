package server

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsHandler serves Prometheus metrics of a server at /metrics.
func metricsHandler(s *Server) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &officeCollector{s})
	m := http.NewServeMux()
	m.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return m
}

// officeCollector reads the counts when they are asked for.
type officeCollector struct{ s *Server }

var (
	entriesDesc   = prometheus.NewDesc("sijill_register_entries", "Entries in the register.", nil, nil)
	behindDesc    = prometheus.NewDesc("sijill_register_behind", "1 if the register refuses to append since a checkpoint is ahead of it.", nil, nil)
	failingDesc   = prometheus.NewDesc("sijill_register_failing", "1 if the last append failed or the register refuses to append, so that mail is not taken.", nil, nil)
	freeDesc      = prometheus.NewDesc("sijill_disk_free_bytes", "Room that is left to the server on the disk of the data directory.", nil, nil)
	certDesc      = prometheus.NewDesc("sijill_certificate_end_seconds", "When the first of the certificates ends, in seconds since 1970.", nil, nil)
	lagDesc       = prometheus.NewDesc("sijill_projection_lag_entries", "Entries that a projection has not seen yet.", []string{"projection"}, nil)
	sessionsDesc  = prometheus.NewDesc("sijill_smtp_sessions_total", "SMTP and LMTP connections admitted.", nil, nil)
	openDesc      = prometheus.NewDesc("sijill_smtp_sessions_open", "SMTP and LMTP connections now.", nil, nil)
	turnedDesc    = prometheus.NewDesc("sijill_smtp_turned_away_total", "Connections refused by a limit.", nil, nil)
	tlsDesc       = prometheus.NewDesc("sijill_smtp_tls_total", "STARTTLS handshakes completed.", nil, nil)
	acceptedDesc  = prometheus.NewDesc("sijill_smtp_accepted_total", "Messages sealed.", nil, nil)
	bytesDesc     = prometheus.NewDesc("sijill_smtp_accepted_bytes_total", "Bytes of messages sealed.", nil, nil)
	temporaryDesc = prometheus.NewDesc("sijill_smtp_replies_temporary_total", "Replies 4yz.", nil, nil)
	imapDesc      = prometheus.NewDesc("sijill_imap_sessions_open", "IMAP connections now.", nil, nil)
	queueDesc     = prometheus.NewDesc("sijill_queue_recipients", "Recipients of outgoing mail in the queue.", []string{"state"}, nil)
	outcomeDesc   = prometheus.NewDesc("sijill_outcomes_total", "Recipients of outgoing mail, by what became of them.", []string{"result"}, nil)
	dueDesc       = prometheus.NewDesc("sijill_filing_due", "Personal messages of which a copy is to be filed.", []string{"late"}, nil)
	permanentDesc = prometheus.NewDesc("sijill_smtp_replies_permanent_total", "Replies 5yz.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *officeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{entriesDesc, behindDesc, failingDesc, freeDesc, certDesc, lagDesc, sessionsDesc, openDesc, turnedDesc, tlsDesc, acceptedDesc, bytesDesc, temporaryDesc, permanentDesc,
		imapDesc, queueDesc, outcomeDesc, dueDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *officeCollector) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	size, _ := c.s.o.Register.Head()
	gauge(entriesDesc, size)
	gauge(behindDesc, oneIf(c.s.o.Register.Behind()))
	gauge(failingDesc, oneIf(c.s.o.Register.Health()))
	if free, err := freeBytes(c.s.o.Dir); err == nil {
		gauge(freeDesc, free)
	}
	if end, err := c.s.o.Certificates().Ends(); err == nil && !end.IsZero() {
		gauge(certDesc, end.Unix())
	}
	if next, err := c.s.o.Follower.Cursors(context.Background()); err == nil {
		for name, n := range next {
			gauge(lagDesc, max(0, size-n), name)
		}
	}
	st := c.s.smtpd.Stats()
	gauge(openDesc, st.Open)
	count(sessionsDesc, st.Sessions)
	count(turnedDesc, st.TurnedAway)
	count(tlsDesc, st.TLS)
	count(acceptedDesc, st.Accepted)
	count(bytesDesc, st.Bytes)
	count(temporaryDesc, st.Temporary)
	count(permanentDesc, st.Permanent)
	gauge(imapDesc, c.s.imapd.Stats().Open)
	c.correspondence(ch, gauge)
}

// oneIf is 1 where there is an error.
func oneIf(err error) int64 {
	if err != nil {
		return 1
	}
	return 0
}

// correspondence collects what is known of outgoing mail and of the wall.
func (c *officeCollector) correspondence(ch chan<- prometheus.Metric, gauge func(*prometheus.Desc, int64, ...string)) {
	ctx := context.Background()
	if q, err := c.s.o.Outbox.Stats(ctx); err == nil {
		gauge(queueDesc, q.Waiting, "waiting")
		gauge(queueDesc, q.Held, "held")
		for result, n := range map[string]int64{"delivered": q.Delivered, "deferred": q.Deferred, "bounced": q.Bounced, "expired": q.Expired, "dropped": q.Dropped, "withdrawn": q.Withdrawn} {
			ch <- prometheus.MustNewConstMetric(outcomeDesc, prometheus.CounterValue, float64(n), result)
		}
	}
	if n, err := c.s.o.Wall.Count(ctx); err == nil {
		gauge(dueDesc, n.Due-n.Overdue, "no")
		gauge(dueDesc, n.Overdue, "yes")
	}
}
