package setup

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// clientConfig is Mozilla's autoconfig file, version 1.1.
type clientConfig struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Version  string   `xml:"version,attr"`
	Provider struct {
		ID       string       `xml:"id,attr"`
		Domain   string       `xml:"domain"`
		Name     string       `xml:"displayName"`
		Short    string       `xml:"displayShortName"`
		Incoming []mailServer `xml:"incomingServer"`
		Outgoing []mailServer `xml:"outgoingServer"`
	} `xml:"emailProvider"`
}

type mailServer struct {
	Type           string `xml:"type,attr"`
	Hostname       string `xml:"hostname"`
	Port           int    `xml:"port"`
	SocketType     string `xml:"socketType"`
	Authentication string `xml:"authentication"`
	Username       string `xml:"username"`
}

// servers lists the ports that are open, the better first.
func (s *server) servers(kind string, tls, starttls int, user string) (list []mailServer) {
	for _, p := range []struct {
		port   int
		socket string
	}{{tls, "SSL"}, {starttls, "STARTTLS"}} {
		if p.port != 0 {
			list = append(list, mailServer{kind, s.Host.Name, p.port, p.socket, "password-cleartext", user})
		}
	}
	return list
}

// autoconfig answers Thunderbird, and the many programs that ask like it.
func (s *server) autoconfig(w http.ResponseWriter, r *http.Request) {
	address := r.URL.Query().Get("emailaddress")
	domain, err := s.domainOf(r.Context(), address)
	if err == nil && domain == "" && address == "" {
		domain, err = s.hostDomain(r)
	}
	if refused(w, domain, err) {
		return
	}
	var c clientConfig
	c.Version, c.Provider.ID, c.Provider.Domain = "1.1", domain, domain
	c.Provider.Name, c.Provider.Short = s.Office, s.Office
	c.Provider.Incoming = s.servers("imap", s.Host.IMAPS, s.Host.IMAP, "%EMAILADDRESS%")
	c.Provider.Outgoing = s.servers("smtp", s.Host.Submissions, s.Host.Submission, "%EMAILADDRESS%")
	writeXML(w, c)
}

// refused answers for a domain that isn't the office's, or that can't be looked
// up now.
func refused(w http.ResponseWriter, domain string, err error) bool {
	switch {
	case err != nil:
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	case domain == "":
		http.Error(w, "not a domain of this server", http.StatusNotFound)
	}
	return err != nil || domain == ""
}

func writeXML(w http.ResponseWriter, v any) {
	b, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "not available", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.Write(append([]byte(xml.Header), b...))
}

// The schemas of autodiscover (MS-OXDSCLI, section 3.1.5).
const (
	responseSchema = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	outlookSchema  = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

type discovered struct {
	XMLName  xml.Name `xml:"Autodiscover"`
	NS       string   `xml:"xmlns,attr"`
	Response struct {
		NS      string `xml:"xmlns,attr"`
		Account struct {
			AccountType string     `xml:"AccountType"`
			Action      string     `xml:"Action"`
			Protocol    []protocol `xml:"Protocol"`
		} `xml:"Account"`
	} `xml:"Response"`
}

type protocol struct {
	Type         string
	Server       string
	Port         int
	LoginName    string
	SPA          string
	SSL          string
	Encryption   string
	AuthRequired string
}

// maxAsked bounds what a program sends to ask.
const maxAsked = 64 << 10

// autodiscover answers Outlook and other programs of its kind.
func (s *server) autodiscover(w http.ResponseWriter, r *http.Request) {
	address, err := asked(http.MaxBytesReader(w, r.Body, maxAsked))
	if err != nil {
		http.Error(w, "an autodiscover request with an EMailAddress is wanted", http.StatusBadRequest)
		return
	}
	domain, err := s.domainOf(r.Context(), address)
	if refused(w, domain, err) {
		return
	}
	var d discovered
	d.NS, d.Response.NS = responseSchema, outlookSchema
	d.Response.Account.AccountType, d.Response.Account.Action = "email", "settings"
	for _, p := range []struct {
		kind string
		list []mailServer
	}{{"IMAP", s.servers("imap", s.Host.IMAPS, s.Host.IMAP, address)}, {"SMTP", s.servers("smtp", s.Host.Submissions, s.Host.Submission, address)}} {
		for _, m := range p.list {
			d.Response.Account.Protocol = append(d.Response.Account.Protocol, outlook(p.kind, m))
		}
	}
	writeXML(w, d)
}

func outlook(kind string, m mailServer) protocol {
	p := protocol{Type: kind, Server: m.Hostname, Port: m.Port, LoginName: m.Username, SPA: "off", SSL: "on", AuthRequired: "on", Encryption: "SSL"}
	if m.SocketType == "STARTTLS" {
		p.Encryption = "TLS"
	}
	return p
}

// asked finds the address in an autodiscover request.
func asked(r io.Reader) (string, error) {
	d := xml.NewDecoder(r)
	for {
		t, err := d.Token()
		if err != nil {
			return "", err
		}
		if e, ok := t.(xml.StartElement); ok && e.Name.Local == "EMailAddress" {
			var address string
			if err := d.DecodeElement(&address, &e); err != nil {
				return "", err
			}
			if address = strings.TrimSpace(address); address == "" || len(address) > maxAddress {
				return "", errors.New("no address")
			}
			return address, nil
		}
	}
}

// autodiscoverJSON sends programs that ask by version 2 to the XML.
func (s *server) autodiscoverJSON(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.URL.Query().Get("Protocol"), "AutodiscoverV1") {
		http.Error(w, "only AutodiscoverV1 is served", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"Protocol": "AutodiscoverV1", "Url": "https://" + s.Host.Name + "/autodiscover/autodiscover.xml"})
}

// profile is a configuration profile for Apple's devices. It holds no password:
// the device asks for it.
func (s *server) profile(w http.ResponseWriter, r *http.Request) {
	address := strings.TrimSpace(r.URL.Query().Get("address"))
	domain, err := s.domainOf(r.Context(), address)
	if refused(w, domain, err) {
		return
	}
	w.Header().Set("Content-Type", "application/x-apple-aspen-config; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+domain+`.mobileconfig"`)
	w.Write(s.plist(address, domain))
}

// identifier makes a UUID that is the same for the same address and part, so
// that a profile that is loaded again replaces the old one.
func identifier(address, part string) string {
	h := sha256.Sum256([]byte("sijill/profile\n" + part + "\n" + strings.ToLower(address)))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // RFC 9562, section 5.8.
	return fmt.Sprintf("%X-%X-%X-%X-%X", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

type plistWriter struct{ bytes.Buffer }

func (p *plistWriter) text(key, value string) {
	p.WriteString("<key>" + key + "</key><string>")
	xml.EscapeText(p, []byte(value))
	p.WriteString("</string>\n")
}

func (p *plistWriter) number(key string, n int) {
	p.WriteString("<key>" + key + "</key><integer>" + strconv.Itoa(n) + "</integer>\n")
}

func (p *plistWriter) yes(key string) { p.WriteString("<key>" + key + "</key><true/>\n") }

// plist writes the profile: one payload with the mail account.
func (s *server) plist(address, domain string) []byte {
	var p plistWriter
	p.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` +
		"\n<plist version=\"1.0\"><dict>\n<key>PayloadContent</key><array><dict>\n")
	p.text("EmailAccountType", "EmailTypeIMAP")
	p.text("EmailAccountDescription", s.Office)
	p.text("EmailAddress", address)
	s.half(&p, "IncomingMailServer", address, s.Host.IMAPS, s.Host.IMAP)
	s.half(&p, "OutgoingMailServer", address, s.Host.Submissions, s.Host.Submission)
	p.yes("OutgoingPasswordSameAsIncomingPassword")
	s.payload(&p, "com.apple.mail.managed", address, domain, "mail")
	p.WriteString("</dict></array>\n")
	s.payload(&p, "Configuration", address, domain, "profile")
	p.WriteString("</dict></plist>\n")
	return p.Bytes()
}

func (s *server) half(p *plistWriter, name, address string, tls, starttls int) {
	port := tls
	if port == 0 {
		port = starttls
	}
	p.text(name+"HostName", s.Host.Name)
	p.number(name+"PortNumber", port)
	p.yes(name + "UseSSL")
	p.text(name+"Username", address)
	p.text(name+"Authentication", "EmailAuthPassword")
}

func (s *server) payload(p *plistWriter, kind, address, domain, part string) {
	p.text("PayloadType", kind)
	p.number("PayloadVersion", 1)
	p.text("PayloadIdentifier", domain+".sijill."+part)
	p.text("PayloadUUID", identifier(address, part))
	p.text("PayloadDisplayName", s.Office)
}

// stsLife is max_age of the policy in seconds: a week.
const stsLife = 7 * 24 * 3600

// sts is the policy of RFC 8461, section 3.2.
func (s *server) sts(w http.ResponseWriter, _ *http.Request) {
	if s.STS == STSNone {
		http.Error(w, "no policy", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "version: STSv1\r\nmode: %s\r\nmx: %s\r\nmax_age: %d\r\n", s.STS, s.Host.Name, stsLife)
}
